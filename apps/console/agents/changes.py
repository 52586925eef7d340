"""What an agent changed: its diff against where it started, cut and coloured, and its commits."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.console.agents.facts import workspace_of
from apps.fleet.models import Agent
from apps.lib.questions import Failed, NoAnswer
from apps.lib.text import plain_text, terminal_text
from apps.workspaces.changes import changes_in
from apps.workspaces.git import Commit, FileChange
from apps.workspaces.models import WorkspaceState

MAX_LINES = 2_000
MAX_LINE = 500  # characters


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    tone: str  # added, removed, hunk, file or empty


@dataclass(frozen=True, slots=True)
class Made:
    """One commit."""

    commit: str
    at: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class Changes:
    """`problem`: why there is nothing to show, for people; with `is_awaited`, not yet."""

    problem: str = ""
    is_awaited: bool = False
    files: tuple[FileChange, ...] = ()
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
        found = changes_in(workspace)
    except Failed as error:
        return Changes(problem=f"The changes can't be read. {error}")
    except NoAnswer as error:
        return Changes(is_awaited=True, problem=str(error))
    lines = list(lines_of(found.diff))
    return Changes(
        problem=found.problem,
        files=tuple(found.files),
        more_files=max(0, found.file_count - len(found.files)),
        lines=tuple(lines[:MAX_LINES]),
        is_cut=len(lines) > MAX_LINES or found.diff_is_cut,
        commits=tuple(made_of(commit) for commit in found.commits),
    )


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
