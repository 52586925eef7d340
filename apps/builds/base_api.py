from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Body, Field, Router, Schema, Status

from apps.access.api_auth import actor_of
from apps.builds.base_actions import ask_for_build
from apps.builds.exceptions import OptionRefused
from apps.builds.models import Base, BuildOptions
from apps.builds.option_actions import set_options, words_of
from apps.builds.serial import base_data
from apps.workspaces.models import Repository

# `Body()`, as a plain dict would be looked for in the query.
Words = Annotated[dict[str, str], Body()]

bases = Router(tags=["bases"])
options = Router(tags=["build options"])


class BaseOut(Schema):
    id: int
    repository: str
    host: str
    state: str = Field(description="none, queued, building, ready or failed")
    state_at: datetime
    commit: str = Field(description="what the state is about")
    wanted: str = Field(description="where the target branch was seen last")
    problem: str
    built_at: datetime | None
    seconds: float | None = Field(description="that its last build took")
    size_bytes: int | None
    modes: list[str] = Field(description="commands that it was built with")
    same_path: bool = Field(description="built at the path at which agents see theirs")


@bases.get("", response=list[BaseOut], summary="List bases: what agents of a repository start from on a host")
def list_bases(request: HttpRequest) -> Any:
    rows = Base.objects.select_related("repository", "host").order_by("repository__name", "host__name")
    return [base_data(base) for base in rows]


@bases.post("/{int:pk}/build", response={202: BaseOut}, summary="Build a base now")
def build(request: HttpRequest, pk: int) -> Any:
    base = get_object_or_404(Base.objects.select_related("repository", "host"), pk=pk)
    ask_for_build(base=base, actor=actor_of(request), now=timezone.now())
    base.refresh_from_db()
    return Status(202, base_data(base))


@options.get("/{name}", response=dict[str, str], summary="Show what is done for a repository's builds")
def show_options(request: HttpRequest, name: str) -> Any:
    row = BuildOptions.objects.filter(repository=get_object_or_404(Repository, name=name)).first()
    return words_of(row or BuildOptions())


@options.patch(
    "/{name}", response=dict[str, str], summary="Switch some of it: on or off, scheme lean or strict"
)
def change_options(request: HttpRequest, name: str, body: Words) -> Any:
    of = get_object_or_404(Repository, name=name)
    if not body:
        raise OptionRefused('Name an option and what it is to be, as in {"slots": "off"}.')
    return words_of(set_options(repository=of, words=body, actor=actor_of(request)))
