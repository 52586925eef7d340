"""The HTTP API's root: each app's router under `/api/v1/`, one shape for errors, docs at `/api/v1/docs`."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from apps.access.api_auth import AUTHENTICATION
from apps.access.exceptions import NotAllowed
from apps.events.api import router as events
from apps.fleet.api import agents, hosts
from apps.fleet.exceptions import AgentRefused
from apps.waves.api import router as waves
from apps.waves.exceptions import WaveRefused
from apps.workspaces.api import router as repositories
from apps.workspaces.exceptions import RepositoryRefused

api = NinjaAPI(
    title="Swarmyard",
    version="1",
    description='Everything the console does. Errors are `{"error": "what is wrong and what to do"}`.',
    urls_namespace="api",
    auth=AUTHENTICATION,
)
api.add_router("/waves", waves)
api.add_router("/agents", agents)
api.add_router("/hosts", hosts)
api.add_router("/repositories", repositories)
api.add_router("/events", events)

STATUS = {NotAllowed: 403, AgentRefused: 409, WaveRefused: 409, RepositoryRefused: 409}


def refuse(request: HttpRequest, error: Any) -> HttpResponse:
    return api.create_response(request, {"error": str(error)}, status=STATUS[type(error)])


for refusal in STATUS:
    api.add_exception_handler(refusal, refuse)
