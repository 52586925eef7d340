from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from apps.access.api_auth import actor_of
from apps.alerts.actions import destinations as destination_actions
from apps.alerts.actions import operate
from apps.alerts.actions.rules import edit_rule, make_rule, remove_rule, reset_rule
from apps.alerts.domain.rules import RuleSpec
from apps.alerts.models import Alert, Destination, Rule, Silence
from apps.alerts.queries import last_evaluation, silenced, watch_is_dead
from apps.alerts.serial import alert_data, delivery_data, destination_data, rule_data, silence_data
from apps.lib import questions

router = Router(tags=["alerts"])


class AlertOut(Schema):
    id: int
    rule: str
    title: str
    scope: str = Field(description="agent, wave, host or yard")
    subject_id: int
    subject: str
    state: str = Field(description="pending, firing, acknowledged or resolved")
    severity: str
    value: float
    worst: float
    threshold: float
    unit: str
    pending_at: datetime
    fired_at: datetime | None
    owner: str
    acknowledged_at: datetime | None
    silenced_until: datetime | None
    resolved_at: datetime | None
    resolved_why: str
    lasted: float | None = Field(description="seconds since it began to fire, or until it was over")


class WatchOut(Schema):
    evaluated_at: datetime | None
    dead: bool = Field(description="rules were evaluated once, and aren't any more")


class SilenceIn(Schema):
    seconds: int = Field(3600, description="a minute to 30 days")
    reason: str = ""


class SilenceOut(Schema):
    id: int
    rule: str
    subject_id: int | None
    subject: str
    reason: str
    begun_by: str
    begun_at: datetime
    until: datetime


class RuleIn(Schema):
    model_config = ConfigDict(extra="forbid")

    key: str
    title: str
    metric: str
    scope: str
    comparison: str = "above"
    threshold: float
    resolve_threshold: float
    for_seconds: int = 60
    severity: str = "warning"
    enabled: bool = True


class RuleChangeIn(Schema):
    """What is left out stays as it is. What a rule looks at can't be changed: make another one."""

    model_config = ConfigDict(extra="forbid")

    title: str | None = None
    scope: str | None = None
    threshold: float | None = None
    resolve_threshold: float | None = None
    for_seconds: int | None = None
    severity: str | None = None
    enabled: bool | None = None


class RuleOut(RuleIn):
    unit: str
    words: str
    subjects: int = Field(description="that had a value at the last evaluation; 0: no data")
    problem: str


class DestinationIn(Schema):
    name: str
    url: str = Field(description="as Apprise writes it; never given back")
    least: str = Field("warning", description="least severity that is told")
    tells_end: bool = True


class DestinationOut(Schema):
    id: int
    name: str
    kind: str
    least: str
    tells_end: bool
    enabled: bool


class DeliveryOut(Schema):
    id: int
    destination: str
    state: str
    attempts: int
    problem: str
    created_at: datetime
    done_at: datetime | None


@router.get(
    "",
    response=list[AlertOut],
    summary="List open alerts, newest first; with `all` every one",
)
def list_alerts(request: HttpRequest, all: bool = False, limit: int = 100) -> Any:
    rows = Alert.objects.all() if all else Alert.objects.open()
    return as_data(list(rows.select_related("rule").order_by("-pk")[: max(1, min(limit, 1000))]))


@router.get("/watch", response=WatchOut, summary="When the rules were last evaluated")
def show_watch(request: HttpRequest) -> Any:
    at = last_evaluation()
    return {"evaluated_at": at, "dead": watch_is_dead(timezone.now(), at)}


@router.get("/rules", response=list[RuleOut], summary="List rules")
def list_rules(request: HttpRequest) -> Any:
    return [rule_data(rule) for rule in Rule.objects.order_by("pk")]


@router.post("/rules", response={201: RuleOut}, summary="Make a rule")
def add_rule(request: HttpRequest, body: RuleIn) -> Any:
    rule = make_rule(spec=RuleSpec(**body.dict()), actor=actor_of(request), now=timezone.now())
    return Status(201, rule_data(rule))


@router.patch("/rules/{key}", response=RuleOut, summary="Change a rule")
def change_rule(request: HttpRequest, key: str, body: RuleChangeIn) -> Any:
    changes = {name: value for name, value in body.dict().items() if value is not None}
    rule = get_object_or_404(Rule, key=key)
    return rule_data(edit_rule(rule=rule, actor=actor_of(request), now=timezone.now(), **changes))


@router.post(
    "/rules/{key}/reset", response=RuleOut, summary="Undo all changes of one of the yard's own rules"
)
def undo_rule(request: HttpRequest, key: str) -> Any:
    rule = get_object_or_404(Rule, key=key)
    return rule_data(reset_rule(rule=rule, actor=actor_of(request), now=timezone.now()))


@router.delete("/rules/{key}", response={204: None}, summary="Remove a rule that isn't one of the yard's own")
def delete_rule(request: HttpRequest, key: str) -> Any:
    remove_rule(rule=get_object_or_404(Rule, key=key), actor=actor_of(request), now=timezone.now())
    return Status(204, None)


@router.get("/silences", response=list[SilenceOut], summary="List silences that aren't over")
def list_silences(request: HttpRequest) -> Any:
    rows = Silence.objects.active(timezone.now()).select_related("rule").order_by("until")
    return [silence_data(row) for row in rows[:1000]]


@router.post("/silences/{int:pk}/end", response=SilenceOut, summary="End a silence")
def end_silence(request: HttpRequest, pk: int) -> Any:
    row = get_object_or_404(Silence.objects.select_related("rule"), pk=pk)
    return silence_data(operate.end_silence(silence=row, actor=actor_of(request), now=timezone.now()))


@router.get(
    "/destinations", response=list[DestinationOut], summary="List destinations, without their addresses"
)
def list_destinations(request: HttpRequest) -> Any:
    return [destination_data(row) for row in Destination.objects.order_by("name")]


@router.post("/destinations", response={201: DestinationOut}, summary="Add a destination")
def add_destination(request: HttpRequest, body: DestinationIn) -> Any:
    row = destination_actions.add_destination(
        **body.dict(), actor=actor_of(request), now=timezone.now(), ask=questions.ask
    )
    return Status(201, destination_data(row))


@router.post("/destinations/{int:pk}/test", response={202: DeliveryOut}, summary="Send a test message")
def send_test(request: HttpRequest, pk: int) -> Any:
    row = get_object_or_404(Destination, pk=pk)
    delivery = destination_actions.try_destination(
        destination=row, actor=actor_of(request), now=timezone.now()
    )
    return Status(202, delivery_data(delivery))


@router.delete("/destinations/{int:pk}", response={204: None}, summary="Remove a destination")
def delete_destination(request: HttpRequest, pk: int) -> Any:
    row = get_object_or_404(Destination, pk=pk)
    destination_actions.remove_destination(destination=row, actor=actor_of(request))
    return Status(204, None)


@router.get("/{int:pk}", response=AlertOut, summary="Show an alert")
def show_alert(request: HttpRequest, pk: int) -> Any:
    return as_data([find(pk)])[0]


@router.post("/{int:pk}/acknowledge", response=AlertOut, summary="Make it yours: it isn't told again")
def acknowledge(request: HttpRequest, pk: int) -> Any:
    return as_data([operate.acknowledge(alert=find(pk), actor=actor_of(request), now=timezone.now())])[0]


@router.post("/{int:pk}/resolve", response=AlertOut, summary="Say that it is over")
def resolve(request: HttpRequest, pk: int) -> Any:
    return as_data([operate.resolve(alert=find(pk), actor=actor_of(request), now=timezone.now())])[0]


@router.post(
    "/{int:pk}/silence",
    response={201: SilenceOut},
    summary="Keep quiet about it for a while",
)
def silence(request: HttpRequest, pk: int, body: SilenceIn) -> Any:
    row = operate.silence(alert=find(pk), actor=actor_of(request), now=timezone.now(), **body.dict())
    return Status(201, silence_data(row))


def as_data(alerts: list[Alert]) -> list[dict[str, Any]]:
    now = timezone.now()
    quiet = silenced(alerts, Silence.objects.active(now)) if alerts else {}
    return [alert_data(alert, quiet, now) for alert in alerts]


def find(pk: int) -> Alert:
    return get_object_or_404(Alert.objects.select_related("rule"), pk=pk)
