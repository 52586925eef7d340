"""The door of monitoring systems. Its lock is that of the API: a session or a token, of any role."""

from collections.abc import Callable
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja.errors import AuthenticationError
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from apps.access.api_auth import AUTHENTICATION
from apps.exposition.scrape import scrape

TEXT, OPENMETRICS = "text/plain", "application/openmetrics-text"
ENCODERS: dict[str, tuple[Callable[[Collector], bytes], str]] = {
    TEXT: (exposition.generate_latest, exposition.CONTENT_TYPE_PLAIN_0_0_4),
    OPENMETRICS: (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
}
PLAIN = "text/plain; charset=utf-8"
HOW = (
    "Metrics want an API token (`manage.py apitoken make`): `Authorization: Bearer TOKEN`. "
    "SWARMYARD_METRICS_OPEN=1 opens them to whoever reaches the yard."
)


@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    if refusal := why_not(request):
        return HttpResponse(refusal, status=401, content_type=PLAIN, headers={"WWW-Authenticate": "Bearer"})
    encode, content_type = ENCODERS[format_for(request)]
    answer = HttpResponse(encode(scrape(datetime.now(UTC))), content_type=content_type)
    answer["Cache-Control"] = "no-store"
    return answer


def format_for(request: HttpRequest) -> str:
    """Of those that the reader names, the one it likes best; versions are for the reader to bear with."""
    named = (f"{accepted.main_type}/{accepted.sub_type}" for accepted in request.accepted_types)
    return next((name for name in named if name in ENCODERS), TEXT)


def why_not(request: HttpRequest) -> str:
    """Why this reader isn't let in; "" when they are. Whoever has a role may look."""
    if settings.METRICS_OPEN:
        return ""
    try:
        return "" if any(door(request) for door in AUTHENTICATION) else HOW
    except AuthenticationError as error:
        return str(error.message)
