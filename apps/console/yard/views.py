from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console.charts import YARD_CHARTS
from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.fleet.models import Agent, Host
from apps.workspaces.models import Repository

LIVE_REGIONS = ("yard_attention", "yard_numbers", "yard_charts", "yard_waves", "yard_finished", "yard_feed")


@require_safe
def yard(request: HttpRequest) -> HttpResponse:
    moment = Moment(now())
    regions: dict[str, dict[str, str]] = {name: {} for name in LIVE_REGIONS}
    return page(
        request,
        "console/yard/page.html",
        "yard",
        moment,
        regions,
        charts=YARD_CHARTS,
        first_run=not Agent.objects.exists(),
        has_repository=Repository.objects.exists(),
        has_host=Host.objects.exclude(heartbeat_at=None).exists(),
        labels=[wave.label for wave in moment.open_waves],
        filter_state=request.GET.get("state", ""),
        filter_wave=request.GET.get("wave", ""),
        filter_text=request.GET.get("q", "")[:60],
        window=request.GET.get("window", ""),
    )
