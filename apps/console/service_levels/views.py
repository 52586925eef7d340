from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console.moment import Moment
from apps.console.pages import now, page


@require_safe
def service_levels(request: HttpRequest) -> HttpResponse:
    regions: dict[str, dict[str, str]] = {"service_levels": {}}
    return page(request, "console/service_levels/page.html", "levels", Moment(now()), regions)
