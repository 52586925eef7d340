"""Alerts and rules as data, for the API and for `--json`: one shape."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.alerts.models import Alert, Delivery, Destination, Rule, Silence

ALERT_FIELDS = (
    "id", "scope", "subject_id", "subject", "state", "severity", "value", "worst", "threshold", "pending_at",
    "fired_at", "owner", "acknowledged_at", "resolved_at", "resolved_why",
)  # fmt: skip
RULE_FIELDS = (
    "key", "title", "metric", "scope", "comparison", "threshold", "resolve_threshold", "for_seconds", "severity",
    "enabled", "subjects", "problem", "words", "unit",
)  # fmt: skip


def alert_data(alert: Alert, quiet: Mapping[int, Silence], now: datetime) -> dict[str, Any]:
    """`silenced_until` stands beside the state: silence changes what is told, not what is so."""
    silence = quiet.get(alert.pk)
    own = {name: getattr(alert, name) for name in ALERT_FIELDS}
    more = {"rule": alert.rule.key, "title": alert.rule.title, "unit": alert.rule.unit}
    return own | more | {"lasted": alert.lasted(now), "silenced_until": silence.until if silence else None}


def rule_data(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in RULE_FIELDS}


def silence_data(silence: Silence) -> dict[str, Any]:
    names = ("id", "subject_id", "subject", "reason", "begun_by", "begun_at", "until")
    return {"rule": silence.rule.key} | {name: getattr(silence, name) for name in names}


def destination_data(destination: Destination) -> dict[str, Any]:
    """Without its address, which is a secret."""
    return {
        name: getattr(destination, name) for name in ("id", "name", "kind", "least", "tells_end", "enabled")
    }


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    names = ("id", "state", "attempts", "problem", "created_at", "done_at")
    return {"destination": delivery.destination.name} | {name: getattr(delivery, name) for name in names}
