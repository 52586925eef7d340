"""The names of known agents' metrics, as data: complete, and as the page on OTLP says."""

import re
from pathlib import Path

from apps.gateway.otlp.mapping import EVENTS, METRICS
from apps.telemetry.domain.measures import WELL_KNOWN

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/otlp.md").read_text()


def test_every_name_here_is_well_known():
    named = {name for rule in METRICS.values() for parts in rule.parts.values() for name in parts}
    named |= {name for event in EVENTS.values() for name in (event.latency, event.errors)}
    assert named == WELL_KNOWN


def test_the_page_names_each_metric_and_event_and_what_becomes_of_it():
    rows = dict(re.findall(r"^\| `([^`]+)` \|(.*)$", PAGE, re.MULTILINE))
    for metric, rule in METRICS.items():
        for part, names in rule.parts.items():
            assert all(f"`{name}`" in rows[metric] for name in names), metric
            assert not part or f"`{part}`" in rows[metric], metric
    for name, event in EVENTS.items():
        assert f"`{event.errors}`" in rows[name]
    assert set(METRICS) | set(EVENTS) <= set(rows)
