from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.console.moment import Moment
from apps.console.pages import now, page


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    return page(request, "console/compare/page.html", "compare", Moment(now()), {"compare": {}})
