from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console import links
from apps.console.charts import YARD_CHARTS
from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.fleet.models import Agent
from apps.telemetry.domain.subjects import YARD

ALWAYS = ("yard_attention", "yard_numbers")
AT_FIRST = ("yard_first_run",)
LATER = ("yard_charts", "yard_waves", "yard_finished", "yard_feed")


@require_safe
def yard(request: HttpRequest) -> HttpResponse:
    is_first_run = not Agent.objects.exists()
    names = ALWAYS + (AT_FIRST if is_first_run else LATER)
    return page(
        request,
        "console/yard/page.html",
        "yard",
        Moment(now()),
        {name: {} for name in names},
        charts=YARD_CHARTS,
        history=links.history_of(YARD),
        first_run=is_first_run,
        filter_state=request.GET.get("state", ""),
        filter_wave=request.GET.get("wave", ""),
        filter_text=request.GET.get("q", "")[:60],
        window=request.GET.get("window", ""),
    )
