"""What an agent changed: read by git in a job on its workspace's host, and kept a moment, so that any number of people
who look cost one run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.lib import questions
from apps.lib.questions import Failed, NoAnswer
from apps.lib.redis import RedisUnavailable, connection, typed_errors
from apps.lib.text import plain_text
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.git import Commit, FileChange
from apps.workspaces.models import Workspace

MAX_DIFF = 200_000  # bytes
MAX_FILES = 200
MAX_COMMITS = 50
MAX_PATH, MAX_SUBJECT = 300, 200  # characters
KEPT_SECONDS = 5
ASKED_SECONDS = 30  # that a reading may wait for a worker before it is asked for again
PATIENCE = 2.0
BROKEN = "Its workspace can't be read: the log of its host's worker says why."


@dataclass(frozen=True, slots=True)
class Found:
    """`files` are the first MAX_FILES of `file_count`; `problem` says why nothing could be read."""

    files: list[FileChange]
    file_count: int
    diff: str
    commits: list[Commit]
    problem: str = ""

    @property
    def diff_is_cut(self) -> bool:
        return len(self.diff.encode("utf-8", "replace")) >= MAX_DIFF


def changes_in(workspace: Workspace) -> Found:
    """Raises NoAnswer while its host hasn't got round to reading them: ask again, nothing is read twice. Raises
    Failed when reading them failed: it would again."""
    try:
        with typed_errors():
            return of_last_moment(workspace) or read_by_worker(workspace)
    except RedisUnavailable as error:
        raise NoAnswer(str(error)) from error


def read_by_worker(workspace: Workspace) -> Found:
    host = host_of(workspace)
    if not connection().set(asked_key(workspace.pk), b"1", nx=True, ex=ASKED_SECONDS):
        raise NoAnswer(f"{host} was asked for them a moment ago and hasn't answered yet.")
    arguments = (workspace.pk, workspace.path, workspace.base_commit)
    busy: NoAnswer | None = None
    try:
        questions.ask(f"host.{host}", read_and_keep, *arguments, patience=PATIENCE, kept_asked=ASKED_SECONDS)
    except Failed:
        connection().delete(asked_key(workspace.pk))  # as a job that was killed didn't
        raise
    except NoAnswer as error:
        busy = error
    kept = of_last_moment(workspace)
    if kept is None:
        raise NoAnswer(f"{host} is busy, or its worker doesn't run.") from busy
    return kept


def of_last_moment(workspace: Workspace) -> Found | None:
    kept = connection().get(kept_key(workspace.pk))
    return None if kept is None else found_from(json.loads(kept))


def host_of(workspace: Workspace) -> str:
    return workspace.agent.host.name if workspace.agent else ""


def kept_key(pk: int) -> str:
    return f"yard:changes:{pk}"


def asked_key(pk: int) -> str:
    return f"yard:changes:{pk}:asked"


# Runs in a job.


def read_and_keep(pk: int, path: str, base: str) -> None:
    try:
        found = read(Path(path), base)
    except (GitFailed, OSError) as error:
        found = Found([], 0, "", [], f"Its workspace can't be read: {error}")
    except Exception:
        keep(pk, Found([], 0, "", [], BROKEN))  # for those who look later than the one who asked
        raise
    keep(pk, found)


def keep(pk: int, found: Found) -> None:
    with connection().pipeline() as pipeline:
        pipeline.set(kept_key(pk), json.dumps(asdict(found)), ex=KEPT_SECONDS)
        pipeline.delete(asked_key(pk))
        pipeline.execute()


def read(path: Path, base: str) -> Found:
    files = git.diff_stat(path, base)
    return Found(
        [FileChange(plain_text(file.path, MAX_PATH), file.added, file.removed) for file in files[:MAX_FILES]],
        len(files),
        git.diff_text(path, base, MAX_DIFF),
        [shortened(commit) for commit in git.commits(path, base, MAX_COMMITS)],
    )


def shortened(commit: Commit) -> Commit:
    return Commit(commit.commit, commit.at, commit.author[:MAX_SUBJECT], commit.subject[:MAX_SUBJECT])


def found_from(data: dict[str, Any]) -> Found:
    files = [FileChange(**row) for row in data.pop("files")]
    commits = [Commit(**row) for row in data.pop("commits")]
    return Found(files=files, commits=commits, **data)
