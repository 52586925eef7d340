"""Repositories as data, for the API and for `--json`: one shape."""

from typing import Any

from apps.workspaces.models import Repository


def repository_data(repository: Repository) -> dict[str, Any]:
    fields = ("name", "path", "target", "state", "problem", "added_at")
    return {"id": repository.pk, "url": repository.shown_url} | {
        name: getattr(repository, name) for name in fields
    }
