"""What pages say of tokens, cost and figures of groups, and of what nobody told."""

import re
from html import unescape

import pytest

from apps.console import display, groups
from apps.console.moment import Moment
from apps.console.regions import View
from apps.console.spending.numbers import price_or_tokens, token_words
from apps.console.yard.numbers import strip
from apps.events.domain.actor import Role
from apps.fleet.domain.spending import Spending
from apps.telemetry.domain.figures import GroupFigures
from apps.telemetry.models import AgentMeasureTotal, AgentModelTotal
from tests.console.figures import made_up_snapshot, publish
from tests.factories import make_host, make_member, make_repository, make_wave, now

pytestmark = pytest.mark.django_db
N = display.NARROW


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def a_group(**overrides) -> GroupFigures:
    fields = {
        "operations": 200,
        "errors": 20,
        "induced": 4,
        "throughput": 4.0,
        "mean": 9.0,
        "p50": 6.0,
        "p95": 21.0,
        "p99": 48.0,
        "max": 410.0,
        "wait_ms": 30.0,
        "wait_pct": 12.5,
        "memory": 0,
        "cpu": 0.0,
        "concurrency": 4.24,
        "coordination_efficiency": 0.8,
        "agents": 3,
        "load_balance": 0.86,
        "distribution_variance": 0.14,
        "efficiency": 0.92,
    }
    return GroupFigures(**{**fields, **overrides})


def tell(agent, **amounts: float) -> None:
    """What it measured, all of it by one model."""
    for name, amount in amounts.items():
        name = name.replace("tokens_", "tokens.")
        AgentMeasureTotal.objects.create(agent=agent.pk, name=name, shape="sum", amount=amount)
        AgentModelTotal.objects.create(agent=agent.pk, model="claude-opus", name=name, amount=amount)


def publish_groups(**found: GroupFigures) -> None:
    made_up = made_up_snapshot([], [])
    made_up.groups = {name.replace("_", ":", 1): figures for name, figures in found.items()}
    publish(made_up)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, display.NONE),
        (0.0, "$0.00"),
        (0.0042, "$0.0042"),
        (0.42, "$0.42"),
        (12.345, "$12.35"),
        (1234.5, f"$1{N}234"),
    ],
)
def test_money_is_written_in_dollars(amount, text):
    assert display.money(amount) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, display.NONE),
        (0, "0"),
        (950, "950"),
        (1_000, f"1.0{N}k"),
        (12_345, f"12{N}k"),
        (999_400, f"999{N}k"),
        (999_600, f"1.0{N}M"),
        (1_234_567, f"1.2{N}M"),
        (45_600_000, f"46{N}M"),
        (3_200_000_000, f"3.2{N}G"),
    ],
)
def test_tokens_are_written_short(count, text):
    assert display.tokens(count) == text


def test_tokens_are_told_in_cached_and_out():
    assert token_words(Spending(1_000, 300, 20_000, 200)) == f"1.2{N}k in · 20{N}k cached · 300 out"
    assert token_words(Spending(10, 0, 0, 0)) == "10 in · 0 out"
    assert token_words(Spending(cost_usd=1.0)) == ""


def test_a_narrow_column_has_the_price_or_else_the_tokens():
    assert price_or_tokens(Spending(1_000, 300, cost_usd=0.5)) == "$0.50"
    assert price_or_tokens(Spending(1_000, 300)) == f"1.3{N}k tok"
    assert price_or_tokens(Spending()) == display.NONE


def test_a_wave_shows_what_it_used_by_model(viewer):
    make_host()
    wave = make_wave("w1")
    tell(make_member(wave), tokens_input=1_000.0, tokens_output=40.0, cost_usd=0.5)
    make_member(wave, cost_usd=0.25)
    make_member(make_wave("w2"), cost_usd=100.0)

    shown = text_of(viewer.get("/live/wave_spending/?wave=w1").content.decode())

    assert "$0.75 1.0 k in · 40 out" in shown
    assert "claude-opus 1.0 k in · 40 out $0.50" in shown
    assert "not named $0.25" in shown


def test_who_told_of_nothing_has_no_zero(viewer):
    make_host()
    agent = make_member(make_wave("w1"), tokens_in=0, tokens_out=0)

    assert "None reported" in viewer.get("/live/wave_spending/?wave=w1").content.decode()
    assert "None reported" in viewer.get(f"/live/agent_spending/?pk={agent.pk}").content.decode()
    assert '<td class="num cost">–</td>' in viewer.get("/live/yard_waves/").content.decode()
    assert "Nothing reported yet" in viewer.get("/spending/").content.decode()


def test_rows_and_heads_of_the_yard_say_what_was_spent(viewer):
    make_host()
    wave = make_wave("w1")
    tell(make_member(wave), tokens_input=1_000.0, cost_usd=0.5)
    make_member(wave, cost_usd=0.25)

    html = viewer.get("/live/yard_waves/").content.decode()

    assert f'<td class="num cost" title="1.0{N}k in">$0.50</td>' in html
    assert ">$0.75</span>" in html


def test_agents_are_ordered_by_cost(viewer):
    make_host()
    wave = make_wave("w1")
    cheap, dear, silent = make_member(wave, cost_usd=0.1), make_member(wave), make_member(wave)
    tell(dear, cost_usd=5.0)

    html = viewer.get("/live/agents_table/?sort=cost").content.decode()

    assert re.findall(r'<tr id="agent-(\d+)"', html) == [str(one.pk) for one in (dear, cheap, silent)]


def test_the_page_of_spending_has_models_and_waves_the_dearest_first(viewer):
    make_host()
    for label, price in (("w1", 0.5), ("w2", 3.0)):
        tell(make_member(make_wave(label)), tokens_input=1_000.0, cost_usd=price)

    shown = text_of(viewer.get("/spending/").content.decode())

    assert "Cost $3.50" in shown
    assert "claude-opus 2.0 k – – $3.50" in shown
    assert shown.index("w2 ") < shown.index("w1 ")


def test_the_yard_has_a_strip_of_figures(redis_server):
    make_host()
    tell(make_member(make_wave("w1")), cost_usd=0.5)
    made_up = made_up_snapshot([1, 2], ["w1"])
    made_up.totals.tokens, made_up.totals.cost_usd = 1_200_000.0, 0.25
    publish(made_up)

    found = {number.title: number for number in strip(View("yard_numbers", Role.VIEWER), Moment(now()))}

    assert (found["Concurrency"].value, found["Load balance"].value) == ("4.2", "0.86")
    assert (found["Scaling"].value, found["Load balance"].note) == ("0.90", "variation 0.14")
    assert found["Coordination"].value == display.NONE
    assert (found["Tokens"].value, found["Tokens"].note) == (f"1.2{N}M", "$0.25 in 5 min")
    assert (found["Cost"].value, found["Cost"].note) == ("$0.50", "of open waves")
    assert all(number.means for number in found.values())


def test_without_figures_the_strip_has_no_zeros(redis_server):
    found = strip(View("yard_numbers", Role.VIEWER), Moment(now()))
    assert {number.value for number in found} == {display.NONE}


def test_figures_of_a_group_say_what_is_too_high():
    tones = {
        number.title: number.tone
        for number in (
            groups.lock_wait(a_group()),
            groups.errors(a_group()),
            groups.coordination(a_group()),
            groups.balance(a_group(load_balance=0.5)),
        )
    }
    assert tones == {"Lock wait": "high", "Errors": "bad", "Coordination": "bad", "Load balance": "high"}
    assert groups.coordination(a_group()).value == "20"
    assert groups.errors(a_group(errors=2)).tone == ""


@pytest.mark.parametrize(
    ("page", "group"),
    [
        ("/live/wave_numbers/?wave=w1", "wave_w1"),
        ("/live/hosts_list/", "host_local"),
        ("/live/repositories_list/", "repository_core"),
        ("/live/compare/", "wave_w1"),
        ("/live/compare/?by=role", "role_coder"),
        ("/live/compare/?by=host", "host_local"),
        ("/live/compare/?by=repository", "repository_core"),
    ],
)
def test_figures_of_groups_are_on_the_pages_of_what_they_are_of(redis_server, viewer, page, group):
    make_host()
    make_wave("w1", repository=make_repository("core"))
    publish_groups(**{group: a_group(wait_pct=37.0, errors=82)})

    shown = text_of(viewer.get(page).content.decode())

    assert "37" in shown
    assert "41" in shown


@pytest.mark.parametrize("by", ["wave", "role", "host", "repository"])
def test_a_comparison_of_nothing_says_so(redis_server, viewer, by):
    assert (
        "No agent reported an operation in the last 5 min"
        in viewer.get(f"/live/compare/?by={by}").content.decode()
    )


def test_a_day_is_a_span_of_the_pages(redis_server, viewer):
    make_host()
    agent = make_member(make_wave("w1"))
    made_up = made_up_snapshot([agent.pk], ["w1"], window=86_400)
    made_up.totals.throughput = 77.7
    publish(made_up)

    html = viewer.get("/?window=24h").content.decode()

    assert "<b>77.7</b>" in html
    assert re.search(r'aria-current="true">24 h<', html)
