from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.console import links
from apps.console.charts import HISTORY_CHARTS, history_data
from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.fleet.models import Agent
from apps.telemetry.domain.subjects import KINDS, YARD, agent_in
from apps.telemetry.history import read

RANGES = {"1h": 3600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
WORDS = {"1h": "1 h", "24h": "24 h", "7d": "7 days", "30d": "30 days"}
DEFAULT_RANGE = "24h"
POINTS = 300  # what a chart's width can show
METRICS = ("throughput", "p50", "p95", "p99", "wait_ms", "memory")


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """The charts of any subject over a range of up to 30 days. They don't move: what is live is on other pages."""
    subject = request.GET.get("of", YARD)[:220]
    title, back = named(subject)
    span = request.GET.get("range", "")
    span = span if span in RANGES else DEFAULT_RANGE
    moment = Moment(now())
    end = moment.now.timestamp()
    found = read(subject, METRICS, end - RANGES[span], end, POINTS)
    return page(
        request,
        "console/history/page.html",
        "agents" if agent_in(subject) is not None else "yard",
        moment,
        {},
        title=title,
        back=back,
        charts=HISTORY_CHARTS,
        data=history_data(found, moment.p95_target),
        windows=[
            {"word": word, "href": f"?{query(request, key)}", "current": key == span}
            for key, word in WORDS.items()
        ],
    )


def query(request: HttpRequest, span: str) -> str:
    kept = request.GET.copy()
    kept["range"] = span
    return kept.urlencode()


def named(subject: str) -> tuple[str, str]:
    """What people call it, and the page where it is live. Raises Http404 for what can't have a history."""
    if subject == YARD:
        return "the yard", links.YARD
    pk = agent_in(subject)
    if pk is not None:
        return get_object_or_404(Agent.objects.only("name"), pk=pk).name, links.agent(pk)
    kind, _, name = subject.partition(":")
    if kind not in KINDS or not name:
        raise Http404(f"There is no history of {subject!r}.")
    return f"{kind} {name}", links.wave(name) if kind == "wave" else links.YARD
