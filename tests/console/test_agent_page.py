"""The page of one agent: what it changed, its facts, and what can be done to it."""

import json
import random
import re
from html import unescape
from typing import Any

import pytest
from msgspec.structs import replace

from apps.console import display
from apps.console.agents.changes import lines_of
from apps.console.agents.rows import now_of, row_of
from apps.console.spending.numbers import cost
from apps.console.tiles import Number
from apps.events.models import Event
from apps.fleet.models import Agent, Desired, State
from apps.fleet.spending import spending_of
from apps.lib import questions
from apps.lib.questions import Failed, NoAnswer
from apps.lib.redis import connection
from apps.telemetry.agent_charts import ASKED
from apps.telemetry.models import AgentMeasureTotal
from apps.workspaces import changes
from tests.console.figures import agent_figures, made_up_agent_charts, publish_agent_charts
from tests.factories import make_agent, make_host, make_repository, make_workspace

pytestmark = pytest.mark.django_db


def test_it_shows_files_commits_and_a_coloured_diff(redis_server, operator, git):
    base = git("rev-parse", "HEAD")
    (git.place / "a.py").write_text("def f():\n    return '<b>2</b>'\n")
    git("commit", "-aqm", "Return <two>")
    (git.place / "a.py").write_text("def f():\n    return '<b>3</b>'\n")
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=base)

    html = operator.get(f"/agents/{agent.pk}/changes/").content.decode()

    assert "1 file" in html
    assert "Return &lt;two&gt;" in html
    assert '<span class="removed">-    return 1' in html
    assert "return &#x27;&lt;b&gt;3&lt;/b&gt;&#x27;" in html


def test_it_says_when_nothing_is_changed(redis_server, operator, git):
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=git("rev-parse", "HEAD"))

    assert "Nothing is changed yet" in operator.get(f"/agents/{agent.pk}/changes/").content.decode()


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/"])
def test_it_says_when_its_workspace_cant_be_read(redis_server, operator, path):
    agent = make_agent()
    make_workspace(agent, path=path)

    answer = operator.get(f"/agents/{agent.pk}/changes/")

    assert answer.status_code == 200
    assert "be read" in answer.content.decode()


def test_it_reads_them_once_for_all_who_look(redis_server, operator, git, monkeypatch):
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=git("rev-parse", "HEAD"))
    runs = []
    real = changes.read
    monkeypatch.setattr(changes, "read", lambda *arguments: runs.append(arguments) or real(*arguments))

    pages = [operator.get(f"/agents/{agent.pk}/changes/").content for _ in range(10)]

    assert len(set(pages)) == 1
    assert len(runs) == 1


def test_it_is_asked_for_again_while_its_host_is_busy(redis_server, operator, git, monkeypatch):
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=git("rev-parse", "HEAD"))
    asked = []

    def busy(queue, *arguments, **limits):
        asked.append(queue)
        raise NoAnswer("busy")

    monkeypatch.setattr(questions, "ask", busy)
    first, second = (operator.get(f"/agents/{agent.pk}/changes/").content.decode() for _ in range(2))

    assert "Reading the changes… local is busy" in first
    assert "Reading the changes… local was asked for them a moment ago" in second
    for html in (first, second):
        assert f'hx-get="/agents/{agent.pk}/changes/"' in html
        assert 'hx-trigger="every 2s"' in html  # also after an answer that htmx doesn't show, an error
    assert asked == ["host.local"]


def test_it_says_that_reading_failed_to_who_asked_and_who_looks_later(
    operator, worker, settings, monkeypatch
):
    agent = make_agent(host=make_host(settings.HOST_NAME))
    workspace = make_workspace(agent)
    ask = questions.ask

    def ask_what_breaks(queue, door, pk, path, base, **more):
        return ask(queue, door, pk, "no path holds a \0", base, **(more | {"patience": 60}))

    monkeypatch.setattr(changes, "ASKED_SECONDS", 60)
    monkeypatch.setattr(questions, "ask", ask_what_breaks)

    first, later = (operator.get(f"/agents/{agent.pk}/changes/").content.decode() for _ in range(2))

    for html in (first, later):
        assert "be read" in html
        assert "log" in html
        assert "hx-get" not in html
    assert not connection().exists(changes.asked_key(workspace.pk))


def test_it_may_be_asked_for_again_at_once_after_a_job_that_was_killed(redis_server, operator, monkeypatch):
    agent = make_agent()
    workspace = make_workspace(agent)

    def killed(queue, *arguments, **limits):
        raise Failed("its log says why")

    monkeypatch.setattr(questions, "ask", killed)
    html = operator.get(f"/agents/{agent.pk}/changes/").content.decode()

    assert "its log says why" in html
    assert "hx-get" not in html
    assert not connection().exists(changes.asked_key(workspace.pk))


def test_it_says_when_redis_is_away(operator, git):
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=git("rev-parse", "HEAD"))

    assert "doesn&#x27;t answer" in operator.get(f"/agents/{agent.pk}/changes/").content.decode()


def test_it_says_when_there_is_no_workspace(operator):
    agent = make_agent()

    assert "no workspace" in operator.get(f"/agents/{agent.pk}/changes/").content.decode()


def test_it_cuts_a_long_diff_and_says_so(redis_server, operator, git):
    base = git("rev-parse", "HEAD")
    (git.place / "big.txt").write_text("word\n" * 5_000)
    git("add", ".")
    git("commit", "-qm", "Big")
    agent = make_agent()
    make_workspace(agent, path=str(git.place), base_commit=base)

    html = operator.get(f"/agents/{agent.pk}/changes/").content.decode()

    assert html.count('<span class="added">') < 2_001
    assert "here it is cut" in html


def test_it_tells_a_removed_line_of_dashes_from_a_header():
    diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n--- not a header\n+++ nor this\n same\n"

    assert [line.tone for line in lines_of(diff)] == ["file", "file", "file", "hunk", "removed", "added", ""]


def test_it_acts_and_says_so_in_a_toast(operator):
    agent = make_agent("w1/agent-01")

    answer = operator.post(f"/agents/{agent.pk}/do/pause", headers={"HX-Request": "true"})

    agent.refresh_from_db()
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"])["toast"] == {
        "text": "w1/agent-01 is being paused.",
        "tone": "good",
    }
    assert agent.desired == Desired.PAUSED
    assert Event.objects.get().actor == "operator-person"


def test_it_says_why_it_refuses(operator):
    agent = make_agent("w1/agent-01", state=State.EXITED)

    answer = operator.post(f"/agents/{agent.pk}/do/pause", headers={"HX-Request": "true"})

    toast = json.loads(answer["HX-Trigger"])["toast"]
    assert answer.status_code == 409
    assert toast["tone"] == "bad"
    assert "nothing to pause" in toast["text"]


def test_it_comes_back_to_the_page_from_a_plain_form(operator):
    agent = make_agent(state=State.EXITED)

    answer = operator.post(f"/agents/{agent.pk}/do/pause", follow=True)

    assert answer.redirect_chain == [(f"/agents/{agent.pk}/", 302)]
    assert "nothing to pause" in answer.content.decode()


@pytest.mark.parametrize(
    ("state", "desired", "verbs"),
    [
        (State.BUSY, Desired.RUNNING, {"pause", "stop", "kill", "restart"}),
        (State.PAUSED, Desired.PAUSED, {"resume", "stop", "kill", "restart"}),
        (State.FAILED, Desired.RUNNING, {"restart"}),
    ],
)
def test_it_offers_only_what_makes_sense(operator, state, desired, verbs):
    agent = make_agent(state=state, desired=desired)

    html = operator.get(f"/agents/{agent.pk}/").content.decode()

    assert {
        verb for verb in ("pause", "resume", "stop", "kill", "restart") if f'id="do-{verb}"' in html
    } == verbs


def charts_on(client, agent, query: str = "") -> dict[str, Any]:
    html = client.get(f"/live/agent_charts/?pk={agent.pk}{query}").content.decode()
    return json.loads(unescape(re.search(r'data-charts="([^"]*)"', html)[1]))


def test_it_draws_what_the_agent_did_and_leaves_gaps_open(viewer, redis_server):
    agent = make_agent(memory_budget_mb=300)
    publish_agent_charts(made_up_agent_charts(agent.pk))

    data = charts_on(viewer, agent)

    assert len(data["times"]) == 60
    assert data["throughput"]["lines"]["op/s"][29:33] == [4.0, None, None, 4.0]
    assert set(data["latency"]["lines"]) == {"p50", "p95", "p99"}
    assert data["wait"]["lines"]["build slot"][30] is None
    assert data["memory"]["lines"]["memory"][:2] == [120.0, 121.0]
    assert data["memory"]["target"] == 300


def test_it_asks_for_the_window_that_is_looked_at(viewer, redis_server):
    agent = make_agent()
    publish_agent_charts(made_up_agent_charts(agent.pk))

    assert charts_on(viewer, agent, "&window=1h") == {"times": [], "empty": "no data yet"}
    assert connection().smembers(ASKED) == {f"{agent.pk}:3600".encode()}


def test_it_says_that_there_is_no_data_where_redis_is_away(viewer):
    assert charts_on(viewer, make_agent())["empty"] == "no data yet"


def test_each_chart_has_its_unit_at_the_axis(viewer):
    html = viewer.get(f"/agents/{make_agent().pk}/").content.decode()

    assert re.findall(r'data-axis="([^"]*)"', html) == ["op/s", "ms", "s/s", "MB"]


def test_it_asks_before_it_kills(operator):
    agent = make_agent("w1/agent-01")

    html = operator.get(f"/agents/{agent.pk}/").content.decode()

    assert 'hx-confirm="End w1/agent-01 and all its processes at once?' in html


def test_it_shows_what_an_operator_needs_to_go_there(operator):
    agent = make_agent("w1/agent-01", pid=4711, command=["--operations", "3 of them"], exit_code=None)
    make_workspace(agent, path="/srv/workspaces/w1/agent-01", repository=make_repository())

    html = operator.get(f"/agents/{agent.pk}/").content.decode()

    assert 'data-copy="/srv/workspaces/w1/agent-01"' in html
    assert "pid 4711" in html
    assert "yard/w1/agent-01" in html
    assert "--operations &#x27;3 of them&#x27;" in html


def test_a_row_shows_no_rate_of_an_agent_that_never_reported_an_operation():
    figures = agent_figures(random.Random(1))
    silent = replace(figures, operations=0, throughput=0.0, last_at=None)
    idle = replace(silent, last_at=1_800_000_000.0)

    assert row_of(make_agent(), silent, "").rate == display.NONE
    assert row_of(make_agent(), idle, "").rate == "0.0"


def test_a_row_of_an_agent_that_ended_says_why_and_what_it_said_last():
    ended = make_agent(state=State.EXITED, reason="done", activity="did 40 operations")
    failed = make_agent(state=State.FAILED, reason="exit 3, last: no such module", activity="no such module")

    assert now_of(ended) == "done · did 40 operations"
    assert now_of(failed) == "exit 3, last: no such module"


def test_it_shows_the_higher_of_what_an_agent_measured_and_what_it_printed():
    agent = make_agent()
    assert (shown_cost(agent).value, shown_cost(agent).note) == (display.NONE, "none reported")

    amounts = {
        "tokens.input": 1_200.0,
        "tokens.cache_read": 300.0,
        "tokens.output": 40.0,
        "cost_usd": 0.256,
        "x": 9.0,
    }
    for name, amount in amounts.items():
        AgentMeasureTotal.objects.create(agent=agent.pk, name=name, shape="sum", amount=amount)
    measured = f"1.2{display.NARROW}k in · 300 cached · 40 out"
    assert (shown_cost(agent).value, shown_cost(agent).note) == ("$0.26", measured)

    agent.cost_usd, agent.tokens_in, agent.tokens_out = 1.5, 10, 20
    assert (shown_cost(agent).value, shown_cost(agent).note) == ("$1.50", measured)

    agent.tokens_out = 5_000
    assert shown_cost(agent).note == f"10 in · 5.0{display.NARROW}k out"


def test_a_price_without_tokens_is_a_price_so_far():
    assert shown_cost(make_agent(cost_usd=0.5)).note == "so far"


def shown_cost(agent: Agent) -> Number:
    return cost(spending_of(agent))
