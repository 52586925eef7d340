import shlex
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.console import display, links
from apps.console.charts import Chart
from apps.console.moment import Moment
from apps.console.pages import act, now, page, require_operator
from apps.console.waves.forms import WaveForm
from apps.console.waves.presets import preset_lines
from apps.events.domain.actor import Actor
from apps.lib import questions
from apps.lib.questions import NoAnswer
from apps.waves import actions
from apps.waves.exceptions import WaveRefused
from apps.waves.models import Wave
from apps.waves.planning import WavePlan, plan_wave
from apps.workspaces.models import Repository

THROUGHPUT = Chart("throughput", "Throughput", "operations/s", "op/s")
PLAIN_VERBS = {
    "pause": (actions.pause_wave, "{} is paused."),
    "resume": (actions.resume_wave, "{} goes on."),
    "abort": (actions.abort_wave, "{} is being aborted."),
}


@require_safe
def waves(request: HttpRequest) -> HttpResponse:
    return page(request, "console/waves/list.html", "waves", Moment(now()), {"waves_table": {}})


@require_safe
def wave(request: HttpRequest, label: str) -> HttpResponse:
    shown = get_object_or_404(Wave.objects.select_related("repository"), label=label)
    regions = {
        name: {"wave": label}
        for name in (
            *("wave_head", "wave_numbers", "wave_spending", "wave_steps"),
            *("wave_agents", "wave_events", "wave_charts"),
        )
    }
    return page(
        request,
        "console/waves/wave.html",
        "waves",
        Moment(now()),
        regions,
        wave=shown,
        facts=facts_of(shown),
        command=shlex.join(map(str, shown.command)),
        charts=(THROUGHPUT,),
        filter_state=request.GET.get("state", ""),
        filter_text=request.GET.get("q", "")[:60],
        window=request.GET.get("window", ""),
    )


def facts_of(shown: Wave) -> list[tuple[str, str]]:
    step = (
        "all at once"
        if shown.step_size == 0
        else f"{shown.step_size} together, {shown.pause_ms} ms between steps"
    )
    return [
        ("Preset", shown.preset),
        ("Role", shown.role),
        ("Start commit", shown.base_commit[:12]),
        ("Steps", step),
        ("Memory budget", f"{display.number(shown.memory_budget_mb)} MB an agent"),
        ("Restart", shown.get_restart_policy_display()),
        ("Started by", shown.created_by),
    ]


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    actor = require_operator(request, "start waves")
    if request.method == "GET":
        form = WaveForm(initial=first_values(request))
        return form_page(request, form, {})
    form = WaveForm(request.POST)
    if not form.is_valid():
        return form_page(request, form, {})
    plan = plan_wave(form.request(), now(), questions.ask)
    if plan.errors:
        return form_page(request, form, plan.errors)
    try:
        started = actions.start_wave(request=form.request(), actor=actor, now=now(), ask=questions.ask)
    except (WaveRefused, NoAnswer) as refusal:
        return form_page(request, form, {"": str(refusal)})
    return redirect("wave", label=started.label)


def first_values(request: HttpRequest) -> dict[str, Any]:
    """A link may fill the form in, as the repositories page does."""
    return {name: request.GET[name] for name in ("repository", "preset") if name in request.GET}


def ask_briefly(*question: Any, **more: Any) -> Any:
    """What is typed next asks again."""
    return questions.ask(*question, patience=2.0, **more)


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """What the form as it stands would do; the page asks while it is filled in."""
    require_operator(request, "plan waves")
    form = WaveForm(request.POST)
    plan = plan_wave(form.request(), now(), ask_briefly) if form.is_valid() else None
    context = preview_context(form, plan)
    return render(request, "console/waves/plan.html", context)


def preview_context(form: WaveForm, plan: WavePlan | None) -> dict[str, Any]:
    errors = (
        {name: " ".join(map(str, texts)) for name, texts in form.errors.items()}
        if plan is None
        else plan.errors
    )
    # A field that is still empty isn't wrong yet: it is listed as missing, without an error beside it.
    missing = {name: text for name, text in errors.items() if not form.data.get(name)}
    beside = {name: text for name, text in errors.items() if name not in missing}
    return {
        "plan": plan if plan and not errors else None,
        "missing": missing.values(),
        "wrong": len(beside),
        "field_errors": [(name, beside.get(name, "")) for name in form.fields if name != "idempotency_key"],
        "steps": steps_text(plan) if plan and not errors else "",
        "total": sum(plan.steps) if plan else 0,
        "preset_hint": hint_of(form),
    }


def hint_of(form: WaveForm) -> str:
    preset = form.presets.get(form.data.get("preset", ""))
    if preset is None:
        return ""
    needs = ["a prompt"] * preset.needs_prompt + ["a command"] * preset.needs_command
    return f"needs {' and '.join(needs)}" if needs else ""


def steps_text(plan: WavePlan) -> str:
    """As in "5 steps: 20, 20, 20, 20, 20"."""
    shown = ", ".join(str(count) for count in plan.steps[:8])
    more = ", …" if len(plan.steps) > 8 else ""
    return f"{display.plural(len(plan.steps), 'step')}: {shown}{more}"


def form_page(request: HttpRequest, form: WaveForm, errors: dict[str, str]) -> HttpResponse:
    for name, text in errors.items():
        form.add_error(name if name in form.fields else None, text)
    response = page(
        request,
        "console/waves/new.html",
        "waves",
        Moment(now()),
        {},
        form=form,
        presets=preset_lines(form.presets, now()),
        has_repository=Repository.objects.exists(),
    )
    response.status_code = 422 if form.errors else 200
    return response


@require_POST
def do(request: HttpRequest, label: str, verb: str) -> HttpResponse:
    shown = get_object_or_404(Wave, label=label)
    deeds = {"scale": scale, "retry": retry, **dict.fromkeys(PLAIN_VERBS, plain)}
    if verb not in deeds:
        return HttpResponse(status=404)
    return act(request, lambda actor: deeds[verb](request, shown, verb, actor), links.wave(label))


def plain(request: HttpRequest, shown: Wave, verb: str, actor: Actor) -> str:
    action, said = PLAIN_VERBS[verb]
    action(wave=shown, actor=actor, now=now())
    return said.format(shown.label)


def scale(request: HttpRequest, shown: Wave, verb: str, actor: Actor) -> str:
    text = request.POST.get("size", "")
    if not text.isascii() or not text.isdigit():
        raise WaveRefused("Give the number of agents that the wave should have.")
    actions.scale_wave(wave=shown, size=int(text[:9]), actor=actor, now=now())
    return f"{shown.label} is scaled to {int(text[:9])} agents."


def retry(request: HttpRequest, shown: Wave, verb: str, actor: Actor) -> str:
    count = actions.retry_wave(wave=shown, actor=actor, now=now())
    return f"{display.plural(count, 'agent')} of {shown.label} start{'s' if count == 1 else ''} again."
