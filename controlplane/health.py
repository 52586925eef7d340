"""Health for probes: `live` says that the process answers, `ready` that what it needs answers too."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from apps.lib.redis import RedisUnavailable, ping


def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    problems = {}
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        problems["database"] = str(error)
    try:
        ping()
    except RedisUnavailable as error:
        problems["redis"] = str(error)
    status = "not ready" if problems else "ready"
    return JsonResponse({"status": status, "problems": problems}, status=503 if problems else 200)
