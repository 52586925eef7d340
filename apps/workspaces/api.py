from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from apps.access.api_auth import actor_of
from apps.lib import questions
from apps.workspaces.actions import add_repository
from apps.workspaces.models import Repository
from apps.workspaces.serial import repository_data

router = Router(tags=["repositories"])


class RepositoryIn(Schema):
    path_or_url: str = Field(description="path on this machine, or a URL to clone")
    name: str | None = None
    target: str | None = Field(None, description="branch that changes land on")


class RepositoryOut(Schema):
    id: int
    name: str
    path: str
    url: str
    target: str
    state: str
    problem: str
    added_at: datetime


@router.get("", response=list[RepositoryOut], summary="List repositories")
def list_repositories(request: HttpRequest) -> Any:
    return [repository_data(row) for row in Repository.objects.order_by("name")]


@router.post("", response={201: RepositoryOut}, summary="Register a repository")
def add(request: HttpRequest, body: RepositoryIn) -> Any:
    added = add_repository(**body.dict(), actor=actor_of(request), now=timezone.now(), ask=questions.ask)
    return Status(201, repository_data(added))


@router.get("/{name}", response=RepositoryOut, summary="Show a repository")
def show(request: HttpRequest, name: str) -> Any:
    return repository_data(get_object_or_404(Repository, name=name))
