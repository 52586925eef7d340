"""docs/reference/metrics.md names what the code has: no more, no less."""

import re
from pathlib import Path

import msgspec
import pytest

from apps.telemetry.actions import KEPT_SECONDS
from apps.telemetry.agent_charts import ASKED_SECONDS
from apps.telemetry.domain.agent_charts import HELD_SECONDS
from apps.telemetry.domain.figures import (
    AgentCharts,
    AgentFigures,
    Charts,
    Figures,
    GroupFigures,
    Snapshot,
    Totals,
)
from apps.telemetry.domain.live import FRESH_SECONDS, MAX_AGENTS
from apps.telemetry.domain.measured import SHORT_WINDOW
from apps.telemetry.domain.measures import MAX_NAMES, MAX_SHOWN, WELL_KNOWN
from apps.telemetry.domain.placing import EARLY_SECONDS, LATE_SECONDS
from apps.telemetry.domain.series import SPAN, TEN
from apps.telemetry.domain.spread import ALONE_SECONDS
from apps.telemetry.domain.summary import MAX_SUBJECTS
from apps.telemetry.domain.tally import MAX_GROUPS, MAX_KINDS, MAX_WAIT_KINDS
from apps.telemetry.domain.window import SPARKLINE_POINTS, WINDOWS
from apps.telemetry.history import MAX_POINTS
from apps.telemetry.measure_rows import KEPT_SECONDS as MEASURES_KEPT

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under this heading, without its head."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Figures", fields(Figures)),
        ("Of an agent alone", [name for name in fields(AgentFigures) if name not in fields(Figures)]),
        (
            "Of several agents together",
            [name for name in fields(GroupFigures) if name not in fields(Figures)],
        ),
        ("Of the yard alone", [name for name in fields(Totals) if name not in fields(GroupFigures)]),
        ("Charts", fields(Charts)),
        ("Charts of one agent", fields(AgentCharts)),
        ("Snapshot", fields(Snapshot)),
    ],
)
def test_each_metric_is_defined_with_its_unit(heading, names):
    table = rows(heading)

    assert [name.strip("`") for name, _, _ in table] == names
    for name, unit, definition in table:
        assert definition, name
        assert unit or name.strip("`") in {"totals", "agents", "charts", "groups"}, name


def test_each_measure_that_means_the_same_for_all_agents_is_defined():
    table = rows("Measures")
    assert [name.strip("`") for name, _, _ in table] == sorted(WELL_KNOWN)
    assert all(unit and definition for _, unit, definition in table)


def test_the_windows_are_those_of_the_code():
    assert [[int(cell) for cell in row] for row in rows("Windows")] == [
        [window.seconds, window.step, window.point, window.every, window.seldom]
        for window in WINDOWS.values()
    ]


def test_retention_is_that_of_the_code():
    assert {int(resolution): int(kept) for _, resolution, kept in rows("What is kept")} == KEPT_SECONDS


@pytest.mark.parametrize(
    "sentence",
    [
        f"{SPARKLINE_POINTS} points",
        f"beyond {MAX_GROUPS} waves",
        f"Beyond {MAX_WAIT_KINDS} kinds",
        f"beyond {MAX_KINDS} kinds",
        f"the {MAX_SUBJECTS} of each kind",
        f"at most {MAX_POINTS:,} points",
        f"at most {EARLY_SECONDS:.0f} s after",
        f"at most\n  {LATE_SECONDS:.0f} s before",
        f"less than {ALONE_SECONDS} s together",
        f"more than {FRESH_SECONDS:.0f} s old",
        f"at most {MAX_AGENTS:,}",
        f"Windows up to {SHORT_WINDOW} s are made of steps of {TEN} s, longer ones of {SPAN} s",
        f"up to {MAX_SHOWN} others",
        f"may have {MAX_NAMES} names besides these",
        f"at {TEN} s for {MEASURES_KEPT[TEN]} s and at {SPAN} s for {MEASURES_KEPT[SPAN]} s",
        f"last {ASKED_SECONDS:.0f} s",
        f"points\nof {HELD_SECONDS} s and less, a sign counts for {HELD_SECONDS} s",
    ],
)
def test_the_bounds_are_those_of_the_code(sentence):
    assert sentence in PAGE
