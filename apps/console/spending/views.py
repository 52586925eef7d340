from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console.moment import Moment
from apps.console.pages import now, page
from apps.console.spending import fragments


@require_safe
def spending(request: HttpRequest) -> HttpResponse:
    """What all agents ever used up."""
    fragments.used.fresh()
    return page(request, "console/spending/page.html", "spending", Moment(now()), {"spending": {}})
