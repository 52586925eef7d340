"""Tokens and cost: one figure for each, whoever told it, and none where nobody did."""

import pytest

from apps.fleet.domain.spending import NOTHING_TOLD, Spending, one_truth, together
from apps.fleet.models import Agent
from apps.fleet.spending import by_model, ledger_of, spending_of
from apps.telemetry.models import AgentMeasureTotal, AgentModelTotal
from tests.factories import make_agent, make_host

database = pytest.mark.django_db


def measure(agent: Agent, **amounts: float) -> None:
    """With `_` for `.` in names of tokens."""
    for name, amount in amounts.items():
        name = name.replace("tokens_", "tokens.")
        AgentMeasureTotal.objects.create(agent=agent.pk, name=name, shape="sum", amount=amount)


def name_model(agent: Agent, model: str, **amounts: float) -> None:
    for name, amount in amounts.items():
        name = name.replace("tokens_", "tokens.")
        AgentModelTotal.objects.create(agent=agent.pk, model=model, name=name, amount=amount)


@pytest.mark.parametrize(
    ("measured", "printed", "truth"),
    [
        (NOTHING_TOLD, NOTHING_TOLD, NOTHING_TOLD),
        (Spending(10, 5, 2, 1, 0.5), NOTHING_TOLD, Spending(10, 5, 2, 1, 0.5)),
        (NOTHING_TOLD, Spending(10, 5, 2, 1, 0.5), Spending(10, 5, 2, 1, 0.5)),
        # Its last export got lost as it was ended on its result.
        (Spending(10, 5, 2, 1, 0.5), Spending(20, 9, 4, 2, 0.9), Spending(20, 9, 4, 2, 0.9)),
        # A start before was killed and printed no result.
        (Spending(20, 9, 4, 2, 0.9), Spending(10, 5, 2, 1, 0.5), Spending(20, 9, 4, 2, 0.9)),
        # Counts come from one of them as a whole: their parts aren't cut alike.
        (Spending(5, 5, 90, None, None), Spending(50, 5, 0, 0, 0.2), Spending(5, 5, 90, None, 0.2)),
        (Spending(cost_usd=0.0), NOTHING_TOLD, Spending(cost_usd=0.0)),
    ],
)
def test_the_higher_of_two_that_tell_of_the_same_counts(measured, printed, truth):
    assert one_truth(measured, printed) == truth


def test_what_nobody_told_of_is_no_zero():
    assert (NOTHING_TOLD.tokens, NOTHING_TOLD.fed, NOTHING_TOLD.is_known) == (None, None, False)
    assert together([]) == NOTHING_TOLD
    assert together([NOTHING_TOLD, Spending(cost_usd=0.5), Spending(tokens_in=3)]) == Spending(
        tokens_in=3, cost_usd=0.5
    )


@database
def test_a_ledger_has_agents_and_waves_and_who_told_of_nothing_is_in_neither():
    host = make_host()
    first = make_agent("w1/agent-01", host=host, cost_usd=0.25, tokens_in=0, tokens_out=0)
    measure(first, tokens_input=100.0, tokens_output=10.0, cost_usd=0.2)
    second = make_agent("w1/agent-02", host=host, tokens_in=7, tokens_out=3, cache_read=5, cache_creation=1)
    make_agent("w2/agent-01", host=host, tokens_in=0, tokens_out=0, cache_read=0, cache_creation=0)
    make_agent("w2/agent-02", host=host)

    ledger = ledger_of(Agent.objects.all())

    assert ledger.agents == {first.pk: Spending(100, 10, cost_usd=0.25), second.pk: Spending(7, 3, 5, 1)}
    assert ledger.waves == {"w1": Spending(107, 13, 5, 1, 0.25)}
    assert ledger.whole == ledger.of_wave("w1")
    assert (ledger.of_wave("w2"), ledger.of(first.pk + 1000)) == (NOTHING_TOLD, NOTHING_TOLD)
    assert spending_of(first) == ledger.of(first.pk)


@database
def test_a_ledger_asks_twice_whatever_the_number(django_assert_num_queries):
    host = make_host()
    for number in range(30):
        measure(make_agent(host=host), tokens_input=number, cost_usd=0.1)

    with django_assert_num_queries(2):
        ledger = ledger_of(Agent.objects.all())

    assert ledger.whole.cost_usd == pytest.approx(3.0)


@database
def test_a_part_that_is_told_before_its_whole_is_not_below_zero():
    """Cached input is taken off the input, which may be told later."""
    agent = make_agent()
    measure(agent, tokens_input=-50.0, tokens_cache_read=50.0)
    assert spending_of(agent) == Spending(tokens_in=0, cache_read=50)


@database
def test_models_are_told_apart_and_the_rest_is_nobodys():
    host = make_host()
    first, second = make_agent("w1/agent-01", host=host), make_agent("w2/agent-01", host=host, cost_usd=0.5)
    measure(first, tokens_input=100.0, tokens_output=20.0, cost_usd=1.0)
    name_model(first, "small", tokens_input=90.0, cost_usd=0.2)
    name_model(first, "big", tokens_input=10.0, tokens_output=20.0, cost_usd=0.8)

    found = by_model(ledger_of(Agent.objects.all()).whole)
    assert list(found) == ["big", "small", ""]
    assert found["big"] == Spending(10, 20, cost_usd=0.8)
    assert found[""] == Spending(cost_usd=pytest.approx(0.5))

    of_one = Agent.objects.filter(pk=first.pk)
    assert list(by_model(spending_of(first), of_one)) == ["big", "small"]
    of_other = Agent.objects.filter(pk=second.pk)
    assert by_model(spending_of(second), of_other) == {"": Spending(cost_usd=0.5)}


@database
def test_an_error_of_adding_up_is_no_rest():
    agent = make_agent()
    measure(agent, cost_usd=0.1 + 0.2)
    name_model(agent, "big", cost_usd=0.3)
    assert list(by_model(spending_of(agent))) == ["big"]
