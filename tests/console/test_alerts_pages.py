"""The alerts' pages: what stands where, what can be done, and what is told when nobody watches."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import transaction

from apps.alerts.actions.watch import note_evaluation
from apps.alerts.domain.metrics import METRICS
from apps.alerts.models import Alert, AlertPoint, Destination, Rule, Silence
from apps.console.alerts.rows import figure
from apps.events.models import Event
from tests.console.figures import made_up_agent_charts, made_up_snapshot, publish, publish_agent_charts
from tests.factories import (
    make_agent,
    make_alert,
    make_destination,
    make_host,
    make_member,
    make_rule,
    make_wave,
    now,
)

pytestmark = pytest.mark.django_db


def text_of(client, page: str) -> str:
    answer = client.get(page)
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_fires_stands_first_and_the_worst_of_it(viewer):
    make_alert("disk", state="pending", fired_at=None)
    make_alert("slow", state="acknowledged", owner="otto")
    make_alert("errors")
    make_alert("very-slow")
    silenced = make_alert("lock-wait")
    Silence.objects.create(
        rule=silenced.rule, begun_by="otto", begun_at=now(), until=now() + timedelta(hours=1)
    )

    page = text_of(viewer, "/alerts/")

    titles = ["very long", "Operations fail", "are slow", "wait for locks", "disk is nearly"]
    places = [page.index(title) for title in titles]
    assert places == sorted(places)
    assert "silenced by otto" in page
    assert "hx-post" not in page


def test_every_severity_and_state_has_a_sign_and_a_word(operator):
    make_alert("uneven")
    make_alert("slow", state="acknowledged")
    make_alert("very-slow", state="pending", fired_at=None)

    page = text_of(operator, "/alerts/")

    for word in ("info", "warning", "critical", "firing", "acknowledged", "pending"):
        assert f"</span> {word}" in page


def test_resolved_ones_say_how_long_they_lasted(viewer):
    at = now()
    make_alert(
        state="resolved",
        fired_at=at - timedelta(minutes=12),
        resolved_at=at,
        resolved_why="the value is back",
    )

    page = text_of(viewer, "/alerts/?state=resolved")

    assert "12 min" in page
    assert "the value is back" in page
    assert "No alert is open" in text_of(viewer, "/alerts/")


@pytest.mark.parametrize(
    ("verb", "state", "said"),
    [
        ("acknowledge", "acknowledged", "is yours"),
        ("resolve", "resolved", "is resolved"),
        ("silence-1h", "firing", "is silenced for 1 h"),
        ("silence-8h", "firing", "is silenced for 8 h"),
    ],
)
def test_an_operator_acts_with_one_click(operator, viewer, verb, state, said):
    alert = make_alert()

    refused = viewer.post(f"/alerts/{alert.pk}/do/{verb}", headers={"HX-Request": "true"})
    done = operator.post(f"/alerts/{alert.pk}/do/{verb}", headers={"HX-Request": "true"})

    assert refused.status_code == 403
    assert said in done["HX-Trigger"]
    alert.refresh_from_db()
    assert alert.state == state
    again = operator.post(f"/alerts/{alert.pk}/do/{verb}", headers={"HX-Request": "true"})
    assert again.status_code == (204 if state == "firing" else 409)


def test_its_page_says_rule_chart_agents_history_and_what_to_do(operator, redis_server, settings):
    settings.REDIS_URL = redis_server.url
    agent = make_agent("w1/agent-07", memory_bytes=380 * 1024**2)
    alert = make_alert("agent-memory", subject_id=agent.pk, subject=agent.name, value=95.0, threshold=90.0)
    for second in range(3):
        AlertPoint.objects.create(alert=alert, at=now() + timedelta(seconds=10 * second), value=91.0 + second)
    operator.post(f"/alerts/{alert.pk}/do/acknowledge")

    page = text_of(operator, f"/alerts/{alert.pk}/")

    assert "Memory of an agent above 90 % for 10 s; over at 85 % or less for as long" in page
    assert "[91.0,92.0,93.0]" in page.replace("&quot;", '"')
    assert "threshold 90" in page
    assert "380\u202fMB of 400 MB" in page
    assert "acknowledged by operator-person" in page
    assert f'hx-post="/agents/{agent.pk}/do/stop"' in page
    assert 'href="/agents/?sort=memory"' in page


def test_its_chart_goes_back_to_before_it_began_where_live_figures_do(viewer, redis_server, settings):
    settings.REDIS_URL = redis_server.url
    agent = make_agent()
    began = now() - timedelta(minutes=1)
    of_yard = make_alert("slow", pending_at=began)
    rule = make_rule("lost-host", metric="latency_p95", scope="agent")
    of_agent = make_alert(rule=rule, subject_id=agent.pk, pending_at=began)
    for window in (60, 300):
        publish(made_up_snapshot([agent.pk], ["w1"], window=window, at=now().timestamp()))
    publish_agent_charts(made_up_agent_charts(agent.pk, window=300))

    for alert in (of_yard, of_agent):
        data = text_of(viewer, f"/alerts/{alert.pk}/").split("data-charts=")[1].split(" hidden")[0]
        assert data.count(",") > 100


@pytest.mark.parametrize("scope", ["wave", "host"])
def test_an_alert_of_a_wave_or_host_shows_its_own_agents_worst_first_and_what_to_do(
    operator, redis_server, settings, scope
):
    settings.REDIS_URL = redis_server.url
    wave = make_wave("w7")
    fast, slow = make_member(wave), make_member(wave)
    other = make_agent("w8/agent-01", host=make_host("elsewhere"))
    figures = made_up_snapshot([fast.pk, slow.pk, other.pk], ["w7"], window=60, at=now().timestamp())
    for pk, p95 in ((fast.pk, 12.0), (slow.pk, 1234.0), (other.pk, 5678.0)):
        figures.agents[pk].p95 = p95
    publish(figures)
    about = wave if scope == "wave" else slow.host
    alert = make_alert(rule=make_rule("slow", scope=scope), subject_id=about.pk, subject=str(about))

    page = text_of(operator, f"/alerts/{alert.pk}/")

    concerned = page.split('aria-label="Agents concerned"')[1].split("</section>")[0]
    assert concerned.index(slow.name) < concerned.index(fast.name)
    assert "1\u202f234\u202fms" in concerned
    assert other.name not in concerned
    assert f"This {scope} alone" in page
    button = "/waves/w7/do/pause" if scope == "wave" else f"/hosts/{about.pk}/do/drain"
    assert f'hx-post="{button}"' in page


def subject_of(scope: str) -> tuple[int, str]:
    if scope == "yard":
        return 0, "the yard"
    wave = make_wave("w7")
    agent = make_member(wave, state="busy", workspace_path="/srv/w7")
    make_member(wave, state="failed")
    about = {"agent": agent, "wave": wave, "host": agent.host}[scope]
    return about.pk, str(about)


@pytest.mark.parametrize(
    ("metric", "scope"), [(metric.key, scope) for metric in METRICS.values() for scope in metric.scopes]
)
def test_everything_that_its_card_offers_is_there_and_does_what_it_says(operator, metric, scope):
    pk, name = subject_of(scope)
    alert = make_alert(rule=make_rule("slow", metric=metric, scope=scope), subject_id=pk, subject=name)

    card = (
        text_of(operator, f"/alerts/{alert.pk}/").split('aria-label="What to do"')[1].split("</section>")[0]
    )
    links, posts = re.findall(r'href="([^"]+)"', card), re.findall(r'hx-post="([^"]+)"', card)

    assert links
    assert (scope == "yard") == (not posts)
    for link in links:
        assert operator.get(unescape(link)).status_code == 200, link
    for post in posts:
        saved = transaction.savepoint()
        events = Event.objects.count()
        answer = operator.post(post, headers={"HX-Request": "true"})
        assert answer.status_code == 204, (post, answer.get("HX-Trigger"))
        assert Event.objects.count() > events, post
        transaction.savepoint_rollback(saved)


def test_a_rule_has_a_choice_of_scope_where_its_metric_has(operator):
    make_rule("slow")

    page = text_of(operator, "/alerts/rules/")

    of_slow, of_disk = (page.split(f'id="{key}"')[1].split("</section>")[0] for key in ("slow", "disk"))
    assert of_slow.count("<option") == 4 + 3
    assert "<option selected>yard</option>" in of_slow
    assert 'name="scope"' not in of_disk
    assert "Reset" not in of_slow


def test_a_viewer_sees_advice_without_buttons(viewer):
    agent = make_agent()
    alert = make_alert("silent-agent", subject_id=agent.pk, subject=agent.name)

    page = text_of(viewer, f"/alerts/{alert.pk}/")

    assert "Read its log" in page
    assert "hx-post" not in page


def test_what_an_alert_was_about_may_be_gone(operator):
    for key in ("silent-agent", "stuck-wave", "disk"):
        alert = make_alert(key, subject_id=4711, subject="gone")
        assert "None that is known" in text_of(operator, f"/alerts/{alert.pk}/")
    assert operator.get("/alerts/4711/").status_code == 404


def test_the_yard_says_what_needs_a_person(viewer):
    make_alert("very-slow")
    make_alert("slow", state="acknowledged", subject="not shown any more")
    make_alert("uneven")

    page = text_of(viewer, "/")

    attention = page.split('id="yard_attention"')[1].split("</section>")[0]
    assert "Some operations take very long</a> · the yard: " in attention
    assert "are slow" not in attention
    assert "unevenly" not in attention
    assert '<span class="count bad">2</span>' in page


def test_many_alerts_of_one_rule_are_one_line_on_the_yard(viewer):
    rule = make_rule("silent-agent")
    for pk in range(5):
        make_alert(rule=rule, subject_id=pk, subject=f"w1/agent-{pk}")

    assert "5 alerts" in text_of(viewer, "/").split('id="yard_attention"')[1].split("</section>")[0]


def test_it_says_so_when_nobody_evaluates_any_more(viewer):
    assert "No rule was evaluated yet" in text_of(viewer, "/alerts/")
    assert "watched by nobody" not in text_of(viewer, "/")

    note_evaluation(at=now() - timedelta(seconds=60), took_ms=3)

    assert "Nobody watches." in text_of(viewer, "/alerts/")
    page = text_of(viewer, "/")
    assert "watched by nobody" in page
    assert '<span class="count bad">!</span>' in page

    note_evaluation(at=now(), took_ms=3)
    assert "Rules last evaluated" in text_of(viewer, "/alerts/")
    assert "watched by nobody" not in text_of(viewer, "/")


def test_a_host_without_heartbeat_is_told_once_on_the_yard(viewer):
    host = make_host(heartbeat_at=now() - timedelta(minutes=5))
    make_alert("lost-host", subject_id=host.pk, subject=host.name)

    attention = text_of(viewer, "/").split('id="yard_attention"')[1].split("</section>")[0]

    assert attention.count("heartbeat") == 1


def edit(client, **fields: str):
    values = {"threshold": "250", "resolve_threshold": "200", "for_seconds": "30", "severity": "critical"}
    return client.post("/alerts/rules/slow/do/edit", values | fields, follow=True)


def test_an_operator_edits_a_rule(operator, viewer):
    make_rule("slow")

    said = edit(operator, threshold="250,5").content.decode()
    refused = edit(viewer, threshold="9")

    rule = Rule.objects.get(key="slow")
    assert (rule.threshold, rule.resolve_threshold, rule.for_seconds, rule.severity) == (
        250.5,
        200,
        30,
        "critical",
    )
    assert "above 250.5 ms for 30 s" in said
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"threshold": "much"}, "The threshold “much” is no number: write one as in 2.5 or 100."),
        ({"threshold": "1,000"}, "may be two numbers: write it without a comma."),
        ({"threshold": "-5", "resolve_threshold": "-6"}, "The threshold must be a number from 0"),
        ({"scope": "planet"}, "there are none by “planet”"),
        ({"for_seconds": "31536000"}, "from 0 to 86400 seconds, which is a day"),
        ({"threshold": "nan"}, "The threshold must be a number"),
        ({"threshold": "150"}, "resolve threshold 200 lies above the threshold 150"),
        ({"for_seconds": "1.5"}, "The duration is a whole number of seconds."),
        ({"for_seconds": "-1"}, "The duration is a whole number of seconds."),
        ({"severity": "dire"}, "is no severity"),
    ],
)
def test_a_bad_rule_is_refused_with_a_clear_message(operator, fields, said):
    before = make_rule("slow").spec

    page = edit(operator, **fields).content.decode()

    assert said in page
    assert Rule.objects.get(key="slow").spec == before
    assert not Event.objects.filter(kind="rule.changed").exists()


def test_rules_are_switched_silenced_made_and_removed(operator):
    make_rule("slow")
    new = {
        "key": "slow-agent",
        "title": "An agent is slow",
        "metric": "latency_p95 agent",
        "comparison": "above",
    }
    limits = {"threshold": "300", "resolve_threshold": "250", "for_seconds": "60", "severity": "warning"}

    for address, fields in (
        ("slow/do/edit", limits | {"scope": "wave"}),
        ("slow/do/reset", {}),
        ("slow/do/off", {}),
        ("slow/do/on", {}),
        ("slow/do/silence", {}),
        ("new", new | limits),
        ("slow-agent/do/remove", {}),
    ):
        assert operator.post(f"/alerts/rules/{address}", fields).status_code == 302, address

    kinds = list(Event.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["rule.changed"] * 4 + ["alert.rule_silenced", "rule.made", "rule.removed"]
    assert Rule.objects.get(key="slow").scope == "yard"
    assert operator.post("/alerts/rules/slow/do/explode").status_code == 404


def test_rules_say_what_they_have_no_data_for(viewer):
    make_rule("slow", subjects=1)
    make_rule("disk", enabled=False)
    make_rule("errors", problem="It can't be evaluated: why")

    page = text_of(viewer, "/alerts/rules/")

    assert page.count("no data: nothing measures this yet") == 1
    assert "It can&#x27;t be evaluated: why" in page
    assert 'name="threshold"' not in page


def test_a_silence_is_listed_and_ended(operator):
    alert = make_alert()
    operator.post(f"/alerts/{alert.pk}/do/silence-8h")
    assert "the yard" in text_of(operator, "/alerts/silences/")

    operator.post(f"/alerts/silences/{Silence.objects.get().pk}/end")

    assert "Nothing is silenced" in text_of(operator, "/alerts/silences/")


def test_an_admin_adds_a_destination_and_nobody_sees_its_address(admin, operator):
    fields = {
        "name": "on-call",
        "url": "jsons://example.org/very-secret",
        "least": "critical",
        "tells_end": "on",
    }

    refused = operator.post("/alerts/destinations/", fields)
    added = admin.post("/alerts/destinations/", fields, follow=True)

    assert refused.status_code == 403
    assert "on-call is told of alerts now" in added.content.decode()
    row = Destination.objects.get()
    for page in ("/alerts/destinations/", f"/admin/alerts/destination/{row.pk}/change/", "/events/"):
        assert "very-secret" not in text_of(admin, page), page


def test_a_destination_that_is_no_good_is_refused(admin):
    answer = admin.post("/alerts/destinations/", {"name": "x", "url": "exec://secret", "least": "info"})

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "of this kind aren&#x27;t allowed" in page
    assert "exec://secret" not in page


def test_a_destination_is_tested_switched_and_removed(admin, operator):
    row = make_destination()

    assert operator.post(f"/alerts/destinations/{row.pk}/do/test").status_code == 302
    assert "test message" in text_of(operator, "/alerts/destinations/")
    assert operator.post(f"/alerts/destinations/{row.pk}/do/off").status_code == 403
    admin.post(f"/alerts/destinations/{row.pk}/do/off")
    assert "nothing: it is off" in text_of(operator, "/alerts/destinations/")
    admin.post(f"/alerts/destinations/{row.pk}/do/remove")
    assert not Destination.objects.exists()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1432.4, "ms", "1\u202f432\u202fms"),
        (95.24, "%", "95.2\u202f%"),
        (0.3, "", "0.30"),
        (5.0, "%", "5\u202f%"),
        (1260.0, "s", "21 min"),
        (12.0, "s", "12\u202fs"),
    ],
)
def test_figures_have_as_many_digits_as_they_need(value, unit, text):
    assert figure(value, unit) == text


def test_no_alert_asks_for_a_person_once_it_is_silenced(viewer):
    alert = make_alert("very-slow")
    Silence.objects.create(rule=alert.rule, begun_by="otto", begun_at=now(), until=now() + timedelta(hours=1))

    assert "very long" not in text_of(viewer, "/").split('id="yard_attention"')[1].split("</section>")[0]
    assert Alert.objects.get().state == "firing"
