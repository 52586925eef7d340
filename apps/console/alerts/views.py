from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.access.exceptions import NotAllowed
from apps.access.roles import actor_for
from apps.alerts.actions import destinations as destination_actions
from apps.alerts.actions import operate
from apps.alerts.actions.rules import edit_rule, make_rule, remove_rule, reset_rule
from apps.alerts.domain.addresses import SCHEMES
from apps.alerts.domain.cards import CARDS
from apps.alerts.domain.metrics import METRICS
from apps.alerts.domain.rules import Severity
from apps.alerts.exceptions import AlertRefused
from apps.alerts.models import Alert, Destination, Rule, Silence
from apps.console import links
from apps.console.alerts.around import chart_of
from apps.console.alerts.card import advice_of
from apps.console.alerts.forms import rule_edits, rule_lines, spec_of
from apps.console.alerts.rows import history_href
from apps.console.moment import Moment
from apps.console.pages import act, now, page, refused, role_in
from apps.events.domain.actor import Actor, Role
from apps.lib import questions
from apps.lib.questions import NoAnswer

HOUR = 3600
SILENCES = {"silence-1h": HOUR, "silence-8h": 8 * HOUR}
RULES = "/alerts/rules/"
SILENCED = "/alerts/silences/"
DESTINATIONS = "/alerts/destinations/"


@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"alerts_watch": {}, "alerts_table": {}}
    state = "resolved" if request.GET.get("state") == "resolved" else "open"
    return page(request, "console/alerts/list.html", "alerts", Moment(now()), regions, tab=state)


@require_safe
def alert(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Alert.objects.select_related("rule"), pk=pk)
    names = ("alert_head", "alert_charts", "alert_agents", "alert_events")
    return page(
        request,
        "console/alerts/alert.html",
        "alerts",
        Moment(now()),
        {name: {"pk": str(pk)} for name in names},
        alert=shown,
        charts=(chart_of(shown),),
        history=history_href(shown.scope, shown.subject_id, shown.subject),
        why=CARDS[shown.rule.metric].why,
        advice=advice_of(shown, acts=role_in(request) >= Role.OPERATOR),
    )


@require_POST
def do(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    shown = get_object_or_404(Alert.objects.select_related("rule"), pk=pk)

    def deed(actor: Actor) -> str:
        if verb == "acknowledge":
            operate.acknowledge(alert=shown, actor=actor, now=now())
            return f"{shown} is yours: nobody is reminded of it."
        if verb == "resolve":
            operate.resolve(alert=shown, actor=actor, now=now())
            return f"{shown} is resolved. If its rule goes on to hold, a new alert begins."
        operate.silence(alert=shown, seconds=SILENCES[verb], actor=actor, now=now())
        return f"{shown} is silenced for {SILENCES[verb] // HOUR} h."

    if verb not in {"acknowledge", "resolve", *SILENCES}:
        return HttpResponse(status=404)
    return act(request, deed, links.alert(pk))


@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    return page(
        request,
        "console/alerts/rules.html",
        "alerts",
        Moment(now()),
        {"alerts_watch": {}},
        tab="rules",
        lines=rule_lines(Rule.objects.order_by("pk")),
        metrics=METRICS.values(),
        severities=list(Severity),
    )


@require_POST
def rule_do(request: HttpRequest, key: str, verb: str) -> HttpResponse:
    rule = get_object_or_404(Rule, key=key)

    def deed(actor: Actor) -> str:
        if verb == "remove":
            remove_rule(rule=rule, actor=actor, now=now())
            return f"Rule {key} is removed."
        if verb == "reset":
            return f"Rule {key} is as it came: {reset_rule(rule=rule, actor=actor, now=now()).words}."
        if verb == "silence":
            operate.silence_rule(rule=rule, seconds=HOUR, actor=actor, now=now())
            return f"Rule {key} is silenced for 1 h."
        changes: dict[str, Any] = (
            {"enabled": verb == "on"} if verb in {"on", "off"} else rule_edits(request.POST)
        )
        changed = edit_rule(rule=rule, actor=actor, now=now(), **changes)
        return f"Rule {key}: {changed.words}." if changed.enabled else f"Rule {key} is off."

    if verb not in {"edit", "on", "off", "remove", "reset", "silence"}:
        return HttpResponse(status=404)
    return act(request, deed, RULES)


@require_POST
def rule_new(request: HttpRequest) -> HttpResponse:
    def deed(actor: Actor) -> str:
        rule = make_rule(spec=spec_of(request.POST), actor=actor, now=now())
        return f"Rule {rule.key}: {rule.words}."

    return act(request, deed, RULES)


@require_safe
def silences(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"silences_list": {}}
    return page(request, "console/alerts/silences.html", "alerts", Moment(now()), regions, tab="silences")


@require_POST
def silence_end(request: HttpRequest, pk: int) -> HttpResponse:
    silence = get_object_or_404(Silence.objects.select_related("rule"), pk=pk)

    def deed(actor: Actor) -> str:
        operate.end_silence(silence=silence, actor=actor, now=now())
        return "The silence is over."

    return act(request, deed, SILENCED)


@require_http_methods(["GET", "POST"])
def destinations(request: HttpRequest) -> HttpResponse:
    problem = ""
    if request.method == "POST":
        try:
            added = add(request)
        except NotAllowed as refusal:
            return refused(request, str(refusal))
        except (AlertRefused, NoAnswer) as refusal:
            problem = str(refusal)
        else:
            messages.success(request, f"{added.name} is told of alerts now. Send it a test.")
            return redirect("alert-destinations")
    response = page(
        request,
        "console/alerts/destinations.html",
        "alerts",
        Moment(now()),
        {"destinations_list": {}, "deliveries_list": {}},
        tab="destinations",
        problem=problem,
        given={name: request.POST.get(name, "") for name in ("name", "least")},
        severities=list(Severity),
        schemes=", ".join(SCHEMES),
        is_admin=role_in(request) >= Role.ADMIN,
    )
    response.status_code = 422 if problem else 200
    return response


def add(request: HttpRequest) -> Destination:
    return destination_actions.add_destination(
        name=request.POST.get("name", ""),
        url=request.POST.get("url", ""),
        least=request.POST.get("least", ""),
        tells_end="tells_end" in request.POST,
        actor=actor_for(request.user),
        now=now(),
        ask=questions.ask,
    )


@require_POST
def destination_do(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    row = get_object_or_404(Destination, pk=pk)
    deeds: dict[str, Callable[[Actor], str]] = {
        "test": lambda actor: test(row, actor),
        "on": lambda actor: switch(row, actor, enabled=True),
        "off": lambda actor: switch(row, actor, enabled=False),
        "remove": lambda actor: remove(row, actor),
    }
    if verb not in deeds:
        return HttpResponse(status=404)
    return act(request, deeds[verb], DESTINATIONS)


def test(row: Destination, actor: Actor) -> str:
    destination_actions.try_destination(destination=row, actor=actor, now=now())
    return f"A test message to {row.name} is on its way: see below what becomes of it."


def switch(row: Destination, actor: Actor, *, enabled: bool) -> str:
    destination_actions.switch_destination(destination=row, enabled=enabled, actor=actor, now=now())
    return f"{row.name} is told of alerts again." if enabled else f"{row.name} is told of nothing."


def remove(row: Destination, actor: Actor) -> str:
    destination_actions.remove_destination(destination=row, actor=actor)
    return f"{row.name} is removed."
