"""Builds as data, for the API and for `--json`: one shape."""

from typing import Any

from apps.builds.domain.words import exit_words
from apps.builds.models import Base, Build, BuildDirectory, LockWait, OngoingWait

BUILD_FIELDS = (
    "who", "tool", "mode", "arguments", "cwd", "state", "asked_at", "began_at", "ended_at", "exit_code",
    "slot_wait_ms", "lock_wait_ms", "memory_bytes",
)  # fmt: skip
DIRECTORY_FIELDS = (
    "path", "tool", "key", "parts", "warm_source", "builds", "size_bytes", "shared_bytes", "sized_at",
    "created_at", "used_at",
)  # fmt: skip
BASE_FIELDS = (
    "state", "state_at", "commit", "wanted", "problem", "built_at", "seconds", "size_bytes", "modes", "same_path",
)  # fmt: skip


def build_data(build: Build) -> dict[str, Any]:
    return {
        "id": build.pk,
        "host": build.host.name,
        "agent": build.agent.name if build.agent else None,
        "agent_id": build.agent_id,
        "directory_id": build.directory_id,
        "ended_with": exit_words(build.exit_code),
    } | {name: getattr(build, name) for name in BUILD_FIELDS}


def wait_data(wait: LockWait) -> dict[str, Any]:
    return {
        "kind": wait.kind,
        "path": wait.path,
        "began_at": wait.began_at,
        "ms": wait.ms,
        "holder_build": wait.holder_id,
        "holder": wait.holder.who if wait.holder else None,
        "holder_pid": wait.holder_pid or None,
    }


def ongoing_data(wait: OngoingWait) -> dict[str, Any]:
    return {
        "build": wait.build_id,
        "who": wait.build.who,
        "kind": wait.kind,
        "path": wait.path,
        "began_at": wait.began_at,
        "holder_build": wait.holder_id,
        "holder": wait.holder.who if wait.holder else None,
        "holder_pid": wait.holder_pid or None,
    }


def base_data(base: Base) -> dict[str, Any]:
    return {"id": base.pk, "repository": base.repository.name, "host": base.host.name} | {
        name: getattr(base, name) for name in BASE_FIELDS
    }


def directory_data(row: BuildDirectory) -> dict[str, Any]:
    agent = row.workspace.agent if row.workspace else None
    return {
        "id": row.pk,
        "host": row.host.name,
        "agent": agent.name if agent else None,
        "repository": row.repository.name if row.repository else None,
    } | {name: getattr(row, name) for name in DIRECTORY_FIELDS}
