"""Targets, measured figures, and what follows from the two."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from apps.telemetry.domain.figures import Totals
from apps.telemetry.domain.service_levels import (
    BY_KEY,
    DEFAULTS,
    OBJECTIVES,
    TargetsError,
    Verdict,
    levels,
    targets_of,
    verdict,
)
from apps.telemetry.service_levels import FILE, configured_targets
from tests.console.figures import totals

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text()
EMPTY = replace(
    totals({}), mean=None, p50=None, p95=None, p99=None, max=None, load_balance=None, efficiency=None
)


def verdicts(found: Totals | None, targets=DEFAULTS) -> dict[str, Verdict]:
    return {level.objective.key: level.verdict for level in levels(found, targets)}


def test_it_holds_each_figure_against_its_target():
    found = verdicts(replace(totals({}), p50=49.9, p95=200.0, p99=499.0, max=2500.0, load_balance=0.7))

    assert found["p50_ms"] == Verdict.MET
    assert found["p95_ms"] == Verdict.MISSED  # "below 200" isn't 200
    assert found["p99_ms"] == Verdict.MET
    assert found["max_ms"] == Verdict.MISSED
    assert found["load_balance"] == Verdict.MET  # "at least 0.7" is


def test_it_has_no_data_where_nothing_was_measured():
    assert set(verdicts(EMPTY).values()) == {Verdict.NO_DATA}
    assert set(verdicts(None).values()) == {Verdict.NO_DATA}


def test_it_judges_nothing_that_has_no_target():
    assert verdicts(totals({}), {**DEFAULTS, "p95_ms": None})["p95_ms"] == Verdict.NO_TARGET


@given(st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_a_better_figure_never_turns_met_into_missed(measured, target):
    for objective in OBJECTIVES:
        better = measured * (0.9 if objective.better == "lower" else 1.1)

        if verdict(objective, measured, target) == Verdict.MET:
            assert verdict(objective, better, target) == Verdict.MET


def test_the_operator_s_targets_take_the_place_of_ours():
    found = targets_of({"p95_ms": 150, "load_balance": False})

    assert (found["p95_ms"], found["load_balance"], found["p50_ms"]) == (150.0, None, 50.0)


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"p96_ms": 1}, "there is no service level 'p96_ms'"),
        ({"p95_ms": "fast"}, "p95_ms = 'fast' must be a number"),
        ({"p95_ms": True}, "p95_ms = True must be a number"),
        ({"p95_ms": 0}, "above 0"),
        ({"p95_ms": -5}, "above 0"),
        ({"p95_ms": float("nan")}, "p95_ms = nan must be a number"),
        ({"p95_ms": float("inf")}, "p95_ms = inf must be a number"),
        ({"p95_ms": 10**400}, "p95_ms = 1000"),
        ({"p95_ms": {"a": 1}}, "must be a number"),
        ({"load_balance": 85}, "up to 1,"),
    ],
)
def test_it_refuses_targets_that_make_no_sense(mapping, told):
    with pytest.raises(TargetsError, match=re.escape(told)):
        targets_of(mapping)


def test_it_reads_the_operator_s_file(settings, tmp_path):
    settings.SWARMYARD_HOME = tmp_path
    assert configured_targets() == (DEFAULTS, "")

    (tmp_path / FILE).write_text("p95_ms = 120\n")

    found, problem = configured_targets()
    assert (found["p95_ms"], problem) == (120.0, "")


@pytest.mark.parametrize(
    "content",
    [
        b"p95_ms = ",
        b"\xff\xfe",
        b"p95_ms = -1",
        b"#" * 20_000,
        b"a = " + b"[" * 9_000,
        b"p95_ms = " + b"9" * 5_000,
    ],
)
def test_a_file_that_is_wrong_leaves_the_defaults_and_says_why(settings, tmp_path, content):
    settings.SWARMYARD_HOME = tmp_path
    (tmp_path / FILE).write_bytes(content)

    found, problem = configured_targets()

    assert found == DEFAULTS
    assert problem.startswith(FILE)


def test_what_stands_in_the_file_s_place_and_is_no_file_is_told(settings, tmp_path):
    settings.SWARMYARD_HOME = tmp_path
    (tmp_path / FILE).mkdir()

    assert "not a regular file" in configured_targets()[1]


def test_the_reference_tells_every_target():
    section = PAGE.split("## Service levels\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)

    assert [name for name, *_ in rows] == list(BY_KEY)
    for name, _, target, measured in rows:
        objective = BY_KEY[name]
        assert target == ("none" if objective.target is None else f"{objective.target:g}")
        assert measured.startswith("nothing yet") == (objective.measure is None)
