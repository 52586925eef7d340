from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status

from apps.access.api_auth import actor_of
from apps.builds.cache_actions import clear_cache
from apps.builds.cache_serial import cache_data
from apps.builds.models import CompilerCache
from apps.fleet.models import Host

compiler_caches = Router(tags=["compiler caches"])


class CompilerCacheOut(Schema):
    host: str
    problem: str = Field(description="why it isn't used; empty when it is")
    version: str
    location: str
    hits: int = Field(description="since its server was started, as are misses, errors and reasons")
    misses: int
    hit_ratio: float | None
    errors: int
    reasons: dict[str, int] = Field(description="compilations that it can't hold, by what it says why")
    size_bytes: int | None
    most_bytes: int | None
    looked_at: datetime


@compiler_caches.get("", response=list[CompilerCacheOut], summary="List compiler caches of hosts")
def list_caches(request: HttpRequest) -> Any:
    return [cache_data(row) for row in CompilerCache.objects.select_related("host").order_by("host__name")]


@compiler_caches.post("/{host}/clear", response={204: None}, summary="Empty a host's compiler cache")
def clear(request: HttpRequest, host: str) -> Any:
    clear_cache(host=get_object_or_404(Host, name=host), actor=actor_of(request))
    return Status(204, None)
