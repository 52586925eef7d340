from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from apps.events.models import Event

router = Router(tags=["events"])


class EventOut(Schema):
    id: int
    at: datetime
    kind: str
    actor: str
    topic: str
    subject_id: int | None
    subject: str
    text: str
    data: dict[str, Any]


@router.get("", response=list[EventOut], summary="List events, newest first; `before` pages on")
def list_events(request: HttpRequest, kind: str = "", before: int | None = None, limit: int = 100) -> Any:
    rows = Event.objects.newest_first()
    if kind:
        rows = rows.filter(kind__startswith=kind)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return rows[: max(1, min(limit, 1000))]
