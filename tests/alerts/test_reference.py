"""docs/reference/alerts.md says what the code does: no more, no less."""

import re
from pathlib import Path

import pytest

from apps.alerts import sender
from apps.alerts.actions import deliver, destinations, operate, rules, tidy
from apps.alerts.domain.addresses import SCHEMES
from apps.alerts.domain.evaluation import LEAST_CALM, MOST_SUBJECTS, NO_DATA_LASTS, State
from apps.alerts.domain.metrics import METRICS
from apps.alerts.domain.rules import DEFAULTS
from apps.alerts.readings import LEAST_OPERATIONS, STALE_SECONDS, WINDOW

PAGE = (Path(__file__).parents[2] / "docs/reference/alerts.md").read_text()


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under this heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_rules_are_those_of_the_code():
    assert rows("Rules") == [
        [
            f"`{rule.key}`",
            f"`{rule.metric}`",
            rule.scope,
            f"{rule.comparison} {rule.threshold:g}",
            f"{rule.resolve_threshold:g}",
            f"{rule.for_seconds}",
            rule.severity,
        ]
        for rule in DEFAULTS
    ]


def test_the_metrics_are_those_of_the_code():
    table = rows("Metrics")

    assert [row[:3] for row in table] == [
        [f"`{metric.key}`", metric.unit, ", ".join(metric.scopes)] for metric in METRICS.values()
    ]
    for (name, _, _, value), metric in zip(table, METRICS.values(), strict=True):
        assert ("no data" in value) == (not metric.has_producer), name


def test_the_states_are_those_of_the_code():
    assert [row[0].strip("`") for row in rows("States")] == list(State)


def test_the_kinds_of_addresses_are_those_of_the_code():
    kinds = section("Deliveries").split("Kinds of addresses")[1].split("\n\n")[0]

    assert set(re.findall(r"`(\w+)`", kinds)) == set(SCHEMES)


def test_the_bounds_of_deliveries_are_those_of_the_code():
    assert [row[1] for row in rows("Deliveries")] == [
        str(deliver.FLOOD),
        f"{deliver.GATHER.total_seconds():.0f}",
        str(deliver.ATTEMPTS),
        ", ".join(f"{deliver.back_off(number):.0f}" for number in range(1, deliver.ATTEMPTS)),
        f"{sender.SECONDS:.0f}",
        f"{sender.MORE_BYTES / 2**20:.0f}",
        str(deliver.JOB_SECONDS),
        f"{deliver.QUEUE_PATIENCE.total_seconds():.0f}",
    ]


@pytest.mark.parametrize(
    "words",
    [
        f"those of the last {WINDOW} s",
        f"older than {STALE_SECONDS:.0f} s they count as none",
        f"no heartbeat for {STALE_SECONDS:.0f} s",
        f"none for fewer than {LEAST_OPERATIONS} operations",
        f"({LEAST_CALM.total_seconds():.0f} s at least)",
        f"any more (for {NO_DATA_LASTS.total_seconds():.0f} s)",
        f"at most {MOST_SUBJECTS} subjects",
        f"a minute to {operate.LONGEST_SILENCE.days} days",
        f"at most {rules.MOST_RULES} rules and {destinations.MOST_DESTINATIONS} destinations",
        f"at most {tidy.MOST_KEPT:,} of each",
    ],
)
def test_the_bounds_are_those_of_the_code(words):
    assert words in PAGE


def test_it_names_every_event_of_an_alert():
    code = "".join(
        path.read_text() for path in (Path(__file__).parents[2] / "apps/alerts/actions").glob("*.py")
    )
    written = set(re.findall(r'fact_of\(\s*\w+,\s*"(\w+)"', code)) | {"fired", "pending"}
    written |= set(re.findall(r'"alert\.(\w+)"', code))

    assert {f"alert.{word}" for word in written} == set(re.findall(r"`(alert\.\w+)`", section("States")))
