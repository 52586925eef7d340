"""What an agent changed: its diff against where it started, cut and coloured, and its commits."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.console.agents.facts import workspace_of
from apps.fleet.models import Agent
from apps.lib.text import plain_text, terminal_text
from apps.workspaces import queries
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.git import Commit, FileChange
from apps.workspaces.models import WorkspaceState

MAX_DIFF = 200_000  # bytes
MAX_LINES = 2_000
MAX_LINE = 500  # characters
MAX_FILES = 200
MAX_COMMITS = 50


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    tone: str  # added, removed, hunk, file or empty


@dataclass(frozen=True, slots=True)
class Change:
    """One file. Lines are None for a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """One commit."""

    commit: str
    at: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class Changes:
    """`problem`: why there is nothing to show, for people."""

    problem: str = ""
    files: tuple[Change, ...] = ()
    more_files: int = 0
    lines: tuple[Line, ...] = ()
    is_cut: bool = False
    commits: tuple[Made, ...] = ()

    @property
    def added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


def changes_of(agent: Agent) -> Changes:
    workspace = workspace_of(agent)
    if workspace is None or workspace.state != WorkspaceState.READY:
        return Changes(problem="This agent has no workspace to look into.")
    try:
        files = queries.diff_stat(workspace)
        text = queries.diff_text(workspace, MAX_DIFF)
        commits = queries.commits(workspace, MAX_COMMITS)
    except (GitFailed, OSError) as error:
        return Changes(problem=f"Its workspace can't be read: {error}")
    lines = list(lines_of(text))
    return Changes(
        files=tuple(change_of(file) for file in files[:MAX_FILES]),
        more_files=max(0, len(files) - MAX_FILES),
        lines=tuple(lines[:MAX_LINES]),
        is_cut=len(lines) > MAX_LINES or len(text.encode("utf-8", "replace")) >= MAX_DIFF,
        commits=tuple(made_of(commit) for commit in commits),
    )


def change_of(file: FileChange) -> Change:
    return Change(plain_text(file.path, 300), file.added, file.removed)


def made_of(commit: Commit) -> Made:
    return Made(commit.commit[:10], datetime.fromtimestamp(commit.at, UTC), plain_text(commit.subject, 200))


def lines_of(diff: str) -> Iterator[Line]:
    in_hunk = False
    for raw in diff.splitlines()[: MAX_LINES + 1]:
        if raw.startswith("diff "):
            in_hunk = False
        elif raw.startswith("@@"):
            in_hunk = True
        yield Line(terminal_text(raw[:MAX_LINE]), tone_of(raw, in_hunk))


def tone_of(line: str, in_hunk: bool) -> str:
    if line.startswith("@@"):
        return "hunk"
    if not in_hunk:
        return "file"
    return {"+": "added", "-": "removed"}.get(line[:1], "")
