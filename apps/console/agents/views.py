from collections.abc import Iterator

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST, require_safe

from apps.console import links
from apps.console.agents import log
from apps.console.agents.changes import changes_of
from apps.console.agents.selection import SORTS
from apps.console.charts import AGENT_CHARTS
from apps.console.moment import Moment
from apps.console.pages import act, now, page
from apps.events.domain.actor import Actor
from apps.fleet import logs
from apps.fleet.actions.operate import VERBS
from apps.fleet.models import Agent
from apps.fleet.places import run_dir
from apps.lib.text import plain_text
from apps.telemetry.domain.subjects import of_agent

SAID = {
    "pause": "{} is being paused.",
    "resume": "{} goes on.",
    "stop": "{} is asked to end.",
    "kill": "{} is being ended.",
    "restart": "{} starts again.",
}


@require_safe
def agents(request: HttpRequest) -> HttpResponse:
    waves = Agent.objects.order_by().values_list("group", flat=True).distinct()[:200]
    return page(
        request,
        "console/agents/list.html",
        "agents",
        Moment(now()),
        {"agents_table": {}},
        labels=sorted(waves, key=lambda label: (len(label), label), reverse=True),
        sorts=SORTS,
        filter_sort=request.GET.get("sort", ""),
        filter_state=request.GET.get("state", ""),
        filter_wave=request.GET.get("wave", ""),
        filter_text=request.GET.get("q", "")[:60],
        window=request.GET.get("window", ""),
    )


@require_safe
def agent(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Agent, pk=pk)
    regions = (
        *("agent_head", "agent_facts", "agent_numbers"),
        *("agent_charts", "agent_spending", "agent_builds", "agent_events"),
    )
    start = epoch_of(request, shown)
    return page(
        request,
        "console/agents/agent.html",
        "agents",
        Moment(now()),
        {name: {"pk": str(pk)} for name in regions},
        agent=shown,
        prompt=shown.prompt,
        charts=AGENT_CHARTS,
        history=links.history_of(of_agent(pk)),
        log=log.newest(run_dir(shown, start)),
        start=start,
        starts=range(max(1, shown.epoch - 9), shown.epoch + 1),
    )


def epoch_of(request: HttpRequest, shown: Agent) -> int:
    """Which start's output is asked for; the latest unless the address names one."""
    text = request.GET.get("start", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else shown.epoch
    return min(max(number, 0), shown.epoch)


@require_safe
def agent_log(request: HttpRequest, pk: int) -> HttpResponse:
    """A piece of its output as JSON: after byte `after`, before byte `before`, or the end."""
    shown = get_object_or_404(Agent.objects.only("pk", "epoch", "state"), pk=pk)
    directory = run_dir(shown, epoch_of(request, shown))
    if "before" in request.GET:
        piece = log.before(directory, number_in(request, "before"))
    elif "after" in request.GET:
        piece = log.after(directory, number_in(request, "after"))
    else:
        piece = log.newest(directory)
    return JsonResponse({**piece.as_json(), "epoch": shown.epoch, "live": shown.is_live})


def number_in(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Http404(f"{name} is a number of bytes.")
    return int(text)


@require_safe
def search_log(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Agent.objects.only("pk", "epoch"), pk=pk)
    text = request.GET.get("text", "")[:200]
    return JsonResponse({"matches": log.matches(run_dir(shown, epoch_of(request, shown)), text)})


@require_safe
def download_log(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All that is kept of its output, byte for byte."""
    shown = get_object_or_404(Agent.objects.only("pk", "epoch", "name"), pk=pk)
    start = epoch_of(request, shown)
    blocks: Iterator[bytes] = logs.iter_all(run_dir(shown, start))
    response = StreamingHttpResponse(blocks, content_type="application/octet-stream")
    name = plain_text(shown.name.replace("/", "-"), 80)
    response.headers["Content-Disposition"] = content_disposition_header(True, f"{name}-{start}.log")
    return response


@require_safe
def changes(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Agent.objects.select_related("workspace", "host"), pk=pk)
    return render(request, "console/agents/changes.html", {"changes": changes_of(shown), "agent": shown})


@require_POST
def do(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    shown = get_object_or_404(Agent, pk=pk)
    if verb not in VERBS:
        raise Http404(f"Agents can't be told to {verb}.")

    def deed(actor: Actor) -> str:
        VERBS[verb](agent=shown, actor=actor, now=now())
        return SAID[verb].format(shown.name)

    return act(request, deed, links.agent(pk))
