"""Plays the scheduler: figures are published, time goes on, rules are evaluated."""

from datetime import UTC, datetime, timedelta

import msgspec

from apps.alerts.actions import watch
from apps.alerts.evaluate import evaluate_alerts
from apps.alerts.models import Alert, Rule
from apps.events.models import Event
from apps.telemetry.domain.figures import GroupFigures
from tests.console.figures import made_up_snapshot, publish

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


NOTHING = GroupFigures(
    operations=0, errors=0, induced=0, throughput=0.0, mean=None, p50=None, p95=None, p99=None, max=None,
    wait_ms=0.0, wait_pct=None, memory=0, cpu=0.0,
)  # fmt: skip


class Watch:
    def __init__(self) -> None:
        self.now = START
        watch.ensure_rules([])

    def only(self, key: str, **changes: object) -> Rule:
        """Every other rule is switched off."""
        Rule.objects.exclude(key=key).update(enabled=False)
        Rule.objects.filter(key=key).update(**changes)
        return Rule.objects.get(key=key)

    def figures(
        self,
        agents: dict[int, dict[str, object]] | None = None,
        groups: dict[str, dict[str, object]] | None = None,
        **totals: object,
    ) -> None:
        """Publishes figures of this moment."""
        made_up = made_up_snapshot(list(agents or {}), ["w1"], window=60, at=self.now.timestamp())
        made_up.totals.operations = 600
        for name, value in totals.items():
            setattr(made_up.totals, name, value)
        for pk, figures in (agents or {}).items():
            for name, value in figures.items():
                setattr(made_up.agents[pk], name, value)
        for name, figures in (groups or {}).items():
            made_up.groups[name] = msgspec.structs.replace(NOTHING, **{"operations": 300, **figures})
        publish(made_up)

    def step(self, seconds: float = 2.0) -> None:
        self.now += timedelta(seconds=seconds)
        evaluate_alerts(self.now)

    def with_p95(self, value: float | None, seconds: float = 2.0) -> None:
        """Time goes on, and then the yard's p95 is this."""
        self.now += timedelta(seconds=seconds)
        self.figures(p95=value)
        evaluate_alerts(self.now)

    def fire(self) -> Alert:
        """The rule on p95 alone, firing."""
        self.only("slow")
        self.with_p95(150.0)
        self.with_p95(150.0, 60)
        return Alert.objects.select_related("rule").get(state="firing")


def kinds() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("kind", flat=True))
