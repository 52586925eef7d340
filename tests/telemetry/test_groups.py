"""Figures of several agents together, against a plain list of what each of them did."""

import itertools

import pytest

from apps.telemetry.domain import summary
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.placing import placed
from apps.telemetry.domain.sample import Reading
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import MAX_KINDS, OTHER
from tests.telemetry.factories import make_sample

START = 1_800_000_000.0
W1 = Labels("w1")


def report(
    live: Live, at: float, *milliseconds: float, agent: int = 1, labels: Labels = W1, **overrides
) -> None:
    samples = [make_sample(ms, **{"end": at, **overrides}) for ms in milliseconds]
    live.add(at=at, agent=agent, labels=labels, parts=placed(samples, at))


def alive(live: Live, at: float, *agents: int) -> None:
    live.read(at=at, readings=[Reading(agent, "w1", "coder", at, 100, 0.5, host="here") for agent in agents])


def test_each_group_has_the_figures_of_its_agents_and_no_others():
    live = Live()
    for pk, (wave, role, host, repository) in enumerate(itertools.product("ab", "cd", "ef", "gh")):
        report(live, START, float(pk + 1), agent=pk, labels=Labels(wave, role, host, repository))

    groups = live.snapshot(60, START + 1, tick=1).groups

    assert " ".join(sorted(groups)) == ("host:e host:f repository:g repository:h role:c role:d wave:a wave:b")
    assert {group.operations for group in groups.values()} == {8}
    assert {group.agents for group in groups.values()} == {8}
    assert (groups["wave:a"].max, groups["wave:b"].max) == (8.0, 16.0)
    assert (groups["repository:g"].max, groups["repository:h"].max) == (15.0, 16.0)


def test_percentiles_of_a_group_are_of_all_its_operations():
    live = Live()
    report(live, START, *[10.0] * 99, agent=1)
    report(live, START, 1000.0, agent=2)

    group = live.snapshot(60, START + 1, tick=1).groups["wave:w1"]

    assert (group.p50, group.p99) == (pytest.approx(10, rel=0.01), pytest.approx(10, rel=0.01))


def test_any_set_of_agents_can_be_looked_at_together():
    live = Live()
    for agent in range(5):
        report(live, START, float(agent + 1), agent=agent)

    together = live.together({1, 3, 99}, 60, START + 1)

    assert (together.operations, together.agents, together.max) == (2, 2, 4.0)


def test_a_host_that_knows_no_repository_takes_none_away():
    live = Live()
    report(live, START, 10.0, labels=Labels("w1", "coder", "here", "core"))
    alive(live, START, 1)

    assert sorted(live.snapshot(60, START + 1, tick=1).groups) == [
        "host:here",
        "repository:core",
        "role:coder",
        "wave:w1",
    ]


def test_the_number_of_groups_is_bounded_and_the_rest_is_one(monkeypatch):
    monkeypatch.setattr(summary, "MAX_SUBJECTS", 3)
    live = Live()
    for number in range(10):
        report(live, START, *[10.0] * (number + 1), agent=number, labels=Labels(f"w{number}"))

    groups = live.snapshot(60, START + 1, tick=1).groups

    assert sorted(groups) == [f"wave:{OTHER}", "wave:w7", "wave:w8", "wave:w9"]
    assert groups[f"wave:{OTHER}"].operations == sum(range(1, 8))


def test_kinds_are_counted_and_bounded():
    live = Live()
    report(live, START, 10.0, 10.0, kind="build")
    for number in range(100):
        report(live, START, 10.0, kind=f"kind-{number}")

    kinds = live.snapshot(60, START + 1, tick=1).totals.kinds

    assert kinds["build"] == 2
    assert len(kinds) == MAX_KINDS + 1
    assert sum(kinds.values()) == 102


def test_coordination_is_set_against_all_operation_time():
    live = Live()
    report(live, START, 700.0, kind="build")
    report(live, START, 200.0, kind="coordination.vote")
    report(live, START, 100.0, kind="coordination")
    report(live, START, 50.0, kind="coordinations", agent=2)

    snapshot = live.snapshot(60, START + 1, tick=1)

    assert snapshot.agents[1].coordination_efficiency == pytest.approx(0.7)
    assert snapshot.agents[2].coordination_efficiency is None
    assert snapshot.totals.coordination_efficiency == pytest.approx(1 - 300 / 1050)


def test_nothing_is_said_of_coordination_once_the_window_has_none():
    live = Live()
    report(live, START, 100.0, kind="coordination")
    report(live, START + 70, 100.0)

    assert live.snapshot(60, START + 71, tick=1).totals.coordination_efficiency is None


def test_concurrency_is_how_many_operations_were_under_way():
    live = Live()
    for second in range(10):
        for agent in range(3):
            report(live, START + second, 500.0, agent=agent)

    snapshot = live.snapshot(60, START + 10, tick=1)

    assert snapshot.totals.concurrency == pytest.approx(1.5)
    assert snapshot.agents[1].concurrency == pytest.approx(0.5)


def test_variance_is_the_coefficient_of_variation_of_operations():
    live = Live()
    for agent, count in ((1, 8), (2, 12)):
        report(live, START, *[10.0] * count, agent=agent)
    alive(live, START, 3)

    totals = live.snapshot(60, START + 1, tick=1).totals

    assert totals.distribution_variance == pytest.approx(0.2)
    assert totals.load_balance == pytest.approx(0.8)
    assert totals.agents == 3


def test_efficiency_compares_with_one_agent_that_worked_alone():
    live = Live()
    for second in range(100):
        alive(live, START + second, 1)
        report(live, START + second, 10.0, 10.0, agent=1)
    for second in range(100, 200):
        alive(live, START + second, 1, 2, 3, 4)
        for agent in (1, 2, 3, 4):
            report(live, START + second, 10.0, agent=agent)

    totals = live.snapshot(60, START + 200, tick=1).totals

    assert totals.throughput == pytest.approx(4.0)
    assert totals.efficiency == pytest.approx(0.5, rel=0.05)


def test_efficiency_is_unknown_while_no_agent_worked_alone_for_a_minute():
    live = Live()
    for second in range(50):
        report(live, START + second, 10.0, agent=1)
    for second in range(50, 300):
        report(live, START + second, 10.0, agent=1)
        report(live, START + second, 10.0, agent=2)

    assert live.snapshot(60, START + 300, tick=1).totals.efficiency is None
