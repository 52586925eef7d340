"""The HTTP API's root: each app's router under `/api/v1/`, one shape for errors, docs at `/api/v1/docs`."""

import logging
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from apps.access.api_auth import AUTHENTICATION
from apps.access.exceptions import NotAllowed
from apps.alerts.api import router as alerts
from apps.alerts.exceptions import AlertRefused
from apps.builds.api import builds, directories
from apps.builds.base_api import bases, options
from apps.builds.cache_api import compiler_caches
from apps.builds.exceptions import BaseRefused, OptionRefused
from apps.builds.sccache import CacheBusy, CacheRefused
from apps.events.api import router as events
from apps.fleet.api import agents, hosts, spending
from apps.fleet.exceptions import AgentRefused
from apps.lib.questions import NoAnswer
from apps.telemetry.api import figures
from apps.telemetry.api import router as service_levels
from apps.waves.api import router as waves
from apps.waves.exceptions import WaveRefused
from apps.workspaces.api import router as repositories
from apps.workspaces.exceptions import RepositoryRefused

log = logging.getLogger(__name__)

api = NinjaAPI(
    title="Swarmyard",
    version="1",
    description='Everything the console does. Errors are `{"error": "what is wrong and what to do"}`.',
    urls_namespace="api",
    auth=AUTHENTICATION,
    docs_decorator=login_required,
)
api.add_router("/waves", waves)
api.add_router("/agents", agents)
api.add_router("/hosts", hosts)
api.add_router("/spending", spending)
api.add_router("/repositories", repositories)
api.add_router("/builds", builds)
api.add_router("/build-directories", directories)
api.add_router("/bases", bases)
api.add_router("/build-options", options)
api.add_router("/alerts", alerts)
api.add_router("/events", events)
api.add_router("/compiler-caches", compiler_caches)
api.add_router("/figures", figures)
api.add_router("/service-levels", service_levels)

SIGN_IN = (
    "Sign in with an account that has a role, or send an API token of yours (`manage.py apitoken make`): "
    "`Authorization: Bearer TOKEN`."
)
REFUSALS = (
    *(AgentRefused, AlertRefused, WaveRefused, RepositoryRefused),
    *(BaseRefused, OptionRefused, CacheRefused, CacheBusy),
)
STATUS = {NotAllowed: 403, **dict.fromkeys(REFUSALS, 409), NoAnswer: 503}


def answer(request: HttpRequest, text: str, status: int) -> HttpResponse:
    return api.create_response(request, {"error": text}, status=status)


def refuse(request: HttpRequest, error: Any) -> HttpResponse:
    return answer(request, str(error), STATUS[type(error)])


def reject(request: HttpRequest, error: Any) -> HttpResponse:
    """Not signed in, CSRF, a body that can't be read."""
    text = SIGN_IN if error.message == AuthenticationError().message else error.message
    return answer(request, text, error.status_code)


def miss(request: HttpRequest, error: Any) -> HttpResponse:
    return answer(request, "There is no such thing here: check the address.", 404)


def misfit(request: HttpRequest, error: Any) -> HttpResponse:
    """Values of the wrong type: each by its name."""
    found = (f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors)
    return answer(request, "; ".join(found), 422)


def fail(request: HttpRequest, error: Any) -> HttpResponse:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer(request, "This failed on our side; the log of the web process says why.", 500)


def nothing_here(request: HttpRequest) -> HttpResponse:
    return miss(request, Http404())


HANDLERS = {HttpError: reject, Http404: miss, ValidationError: misfit, Exception: fail}
for kind, handler in (HANDLERS | dict.fromkeys(STATUS, refuse)).items():
    api.add_exception_handler(kind, handler)
