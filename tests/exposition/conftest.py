"""A scrape, as text and as samples by name."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from apps.console import consumer
from apps.events.counts import EventCounts
from apps.events.domain.actor import Role
from apps.exposition.highest import Highest
from apps.exposition.sources import spending, yard
from tests.factories import make_user


@dataclass(frozen=True)
class Scraped:
    text: str

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """Values of a sample by those of its labels, in the order of the labels' names."""
        families = text_string_to_metric_families(self.text)
        samples = [
            sample for family in families for sample in family.samples if sample.name == f"swarmyard_{name}"
        ]
        return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in samples}

    def value(self, name: str) -> float:
        return self.of(name)[()]

    @property
    def names(self) -> set[str]:
        return {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE")}


@pytest.fixture(autouse=True)
def _of_this_test_alone(settings, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SWARMYARD_HOME = tmp_path
    settings.REDIS_URL = f"unix://{tmp_path / 'no-redis.sock'}"
    monkeypatch.setattr(yard, "event_counts", EventCounts())
    monkeypatch.setattr(spending, "highest", Highest())
    monkeypatch.setattr(consumer, "pusher", None)


@pytest.fixture
def reader(db) -> Client:
    """A signed-in viewer's browser."""
    client = Client()
    client.force_login(make_user("vera", Role.VIEWER))
    return client


@pytest.fixture
def scraped(reader) -> Callable[[], Scraped]:
    def scrape() -> Scraped:
        answer = reader.get("/metrics")
        assert answer.status_code == 200
        return Scraped(answer.content.decode())

    return scrape
