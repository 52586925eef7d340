"""`docs/reference/prometheus.md` names what `/metrics` can say: no more, no less."""

import re
from pathlib import Path

import pytest

from apps.exposition.metrics import METRICS
from apps.exposition.sources import hosts, waves

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/prometheus.md"
GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/prometheus.md"


def rows() -> dict[str, list[str]]:
    """The cells behind each name."""
    lines = re.findall(r"^\| `(swarmyard_\w+)` \|(.*)\|$", REFERENCE.read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def test_it_names_every_metric_and_no_other():
    assert list(rows()) == list(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_it_says_what_the_metric_says_of_itself(name):
    kind, labels, definition = rows()[name]

    metric = METRICS[name]
    assert kind == metric.kind
    assert tuple(re.findall(r"`(\w+)`", labels)) == metric.labels
    assert definition == metric.help


def test_it_tells_the_bounds():
    assert f"newest ended ones, {waves.SHOWN} in all" in REFERENCE.read_text()
    assert f"by `host` for {hosts.SHOWN}" in REFERENCE.read_text()


def test_the_guide_asks_for_what_there_is():
    named = set(re.findall(r"swarmyard_\w+", GUIDE.read_text()))

    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= set(METRICS)
