from datetime import datetime
from typing import Any

from django.db import models

from apps.alerts.domain.addresses import SCHEMES
from apps.alerts.domain.evaluation import OPEN_STATES, Open, Subject
from apps.alerts.domain.evaluation import State as StateWord
from apps.alerts.domain.metrics import METRICS, Scope
from apps.alerts.domain.rules import Comparison, RuleSpec, Severity, in_words

METRIC_CHOICES = [(metric.key, metric.title) for metric in METRICS.values()]


def choices(words: Any) -> list[tuple[str, str]]:
    return [(str(word), str(word)) for word in words]


class Rule(models.Model):
    """What must not be, and how bad it is; `domain/rules.py` says what each field means."""

    key = models.CharField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    metric = models.CharField(max_length=40, choices=METRIC_CHOICES)
    scope = models.CharField(max_length=10, choices=choices(Scope))
    comparison = models.CharField(max_length=10, choices=choices(Comparison))
    threshold = models.FloatField()
    resolve_threshold = models.FloatField()
    for_seconds = models.PositiveIntegerField(default=0)
    severity = models.CharField(max_length=10, choices=choices(Severity))
    enabled = models.BooleanField(default=True)
    subjects = models.PositiveIntegerField(
        default=0, help_text="with a value at the last evaluation; 0: no data"
    )
    problem = models.CharField(max_length=300, blank=True, help_text="why it wasn't evaluated as it stands")
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.key

    @property
    def spec(self) -> RuleSpec:
        return RuleSpec(
            key=self.key,
            title=self.title,
            metric=self.metric,
            scope=self.scope,
            comparison=self.comparison,
            threshold=self.threshold,
            resolve_threshold=self.resolve_threshold,
            for_seconds=self.for_seconds,
            severity=self.severity,
            enabled=self.enabled,
        )

    @property
    def words(self) -> str:
        return in_words(self.spec)

    @property
    def unit(self) -> str:
        metric = METRICS.get(self.metric)
        return metric.unit if metric else ""


class AlertState(models.TextChoices):
    PENDING = StateWord.PENDING.value
    FIRING = StateWord.FIRING.value
    ACKNOWLEDGED = StateWord.ACKNOWLEDGED.value
    RESOLVED = StateWord.RESOLVED.value


FIRING_STATES = (AlertState.FIRING, AlertState.ACKNOWLEDGED)


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> "AlertQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def firing(self) -> "AlertQuerySet":
        """Those that began to fire and aren't over, acknowledged ones too."""
        return self.filter(state__in=FIRING_STATES)


class Alert(models.Model):
    """A rule that holds for one subject, from its first moment on. At most one is open for each of both."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="alerts")
    scope = models.CharField(max_length=10, choices=choices(Scope))
    subject_id = models.BigIntegerField(help_text="primary key of the agent, wave or host; 0: the yard")
    subject = models.CharField(max_length=200, help_text="its name at that time")
    state = models.CharField(max_length=12, choices=AlertState)
    severity = models.CharField(max_length=10, choices=choices(Severity))
    value = models.FloatField(help_text="the last one")
    worst = models.FloatField()
    threshold = models.FloatField(help_text="that of the rule, when it began")
    pending_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(help_text="when it last had a value")
    calm_at = models.DateTimeField(null=True, help_text="since when the value is back")
    owner = models.CharField(max_length=150, blank=True, help_text="who acknowledged it")
    acknowledged_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_why = models.CharField(max_length=200, blank=True)
    told_at = models.DateTimeField(null=True, help_text="when its deliveries were planned")
    over_told_at = models.DateTimeField(null=True, help_text="when the deliveries of its end were planned")

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject_id"], condition=models.Q(resolved_at=None), name="one_open_alert"
            )
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="alert_by_state"),
            models.Index(fields=["resolved_at"], name="alert_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.rule.title}: {self.subject}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_firing(self) -> bool:
        return self.state in FIRING_STATES

    @property
    def as_subject(self) -> Subject:
        return Subject(self.scope, self.subject_id, self.subject)

    @property
    def as_open(self) -> Open:
        return Open(self.pk, self.state, self.pending_at, self.seen_at, self.calm_at)

    def lasted(self, now: datetime) -> float | None:
        """Seconds for which it fires or fired; None when it never did."""
        return ((self.resolved_at or now) - self.fired_at).total_seconds() if self.fired_at else None

    def can(self, verb: str) -> bool:
        """Whether an operator's verb (acknowledge, silence, resolve) makes sense now."""
        if verb == "acknowledge":
            return self.state == AlertState.FIRING
        return verb in {"silence", "resolve"} and self.is_firing


class AlertPoint(models.Model):
    """A value of an open alert, for its chart: each ten seconds, a bounded number."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="points")
    at = models.DateTimeField()
    value = models.FloatField()

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.value:g}"


class SilenceQuerySet(models.QuerySet["Silence"]):
    def active(self, now: datetime) -> "SilenceQuerySet":
        return self.filter(until__gt=now)


class Silence(models.Model):
    """A period in which alerts of a rule, about one subject or about all, aren't delivered and ask for nobody."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="silences")
    subject_id = models.BigIntegerField(null=True, help_text="empty: whatever the rule is about")
    subject = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    begun_by = models.CharField(max_length=150)
    begun_at = models.DateTimeField()
    until = models.DateTimeField()

    objects = SilenceQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}".strip()

    def covers(self, alert: Alert) -> bool:
        return self.rule_id == alert.rule_id and self.subject_id in (None, alert.subject_id)


class Evaluation(models.Model):
    """When the rules were last evaluated, in one row. That it grows old means that nobody watches any more."""

    at = models.DateTimeField()
    took_ms = models.FloatField()

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S}"


class Destination(models.Model):
    """Where alerts are delivered to. `url` has secrets in it: pages and the API show its kind alone."""

    name = models.CharField(max_length=80, unique=True)
    url = models.CharField(max_length=1000)
    least = models.CharField(
        max_length=10,
        choices=choices(Severity),
        default=Severity.WARNING,
        help_text="least severity that is told",
    )
    tells_end = models.BooleanField(default=True, help_text="tell also that an alert is over")
    enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        return SCHEMES.get(self.url.partition("://")[0].lower(), "unknown")

    def wants(self, severity: str) -> bool:
        return self.enabled and Severity(severity).rank >= Severity(self.least).rank


class DeliveryState(models.TextChoices):
    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(models.Model):
    """One message to one destination: an alert, a digest of several, or a test (no alert)."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    alerts = models.ManyToManyField(Alert, related_name="deliveries")
    is_digest = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        null=True, help_text="of the next attempt, or when the one under way counts as lost"
    )
    problem = models.CharField(max_length=300, blank=True, help_text="why the last attempt failed")
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["state", "due_at"], name="delivery_by_due")]

    def __str__(self) -> str:
        return f"{self.destination} {self.state}"
