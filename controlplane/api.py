"""The HTTP API's root: each app's router under `/api/v1/`, one shape for errors, docs at `/api/v1/docs`."""

from ninja import NinjaAPI

api = NinjaAPI(title="Swarmyard", version="1", urls_namespace="api")
