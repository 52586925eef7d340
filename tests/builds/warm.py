"""A repository of crates, its base on this host, and agents whose workspaces are made as a wave's are."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from apps.builds import base_actions, places
from apps.builds.base_builder import build_base
from apps.builds.models import Base, BuildOptions
from apps.builds.preparing import environments_for
from apps.builds.warming import Start, Warmth, record_starts
from apps.fleet import view
from apps.fleet.models import Agent
from apps.fleet.places import marker
from apps.workspaces.checkouts import create_workspace
from apps.workspaces.models import Repository
from tests.factories import make_agent, make_host, make_repository, make_workspace
from tests.workspaces.repositories import git

from .crates import make_crates, write

CRATES = {"ground": [], "middle": ["ground"], "apart": [], "app": ["middle", "apart"]}


class WarmYard:
    """`shown`: the host can give agents a view."""

    def __init__(self, place: Path, *, shown: bool = True) -> None:
        self.place = place
        self.source = make_source(place / "project")
        problem = "" if shown else "not here"
        self.host = make_host(equipment={"programs": {}, "view_problem": problem})
        self.repository: Repository = make_repository("project", path=str(self.source))
        self.ahead = timedelta()
        self.number = 0

    def now(self):
        return timezone.now() + self.ahead

    @property
    def head(self) -> str:
        return git(self.source, "rev-parse", "main")

    @property
    def base(self) -> Base:
        return Base.objects.select_related("repository", "host").get()

    def options(self, **fields) -> None:
        BuildOptions.objects.update_or_create(repository=self.repository, defaults=fields)

    def build(self) -> Base:
        """The base at the target's commit."""
        base = base_actions.ensure_base(
            repository=self.repository, host=self.host, commit=self.head, now=self.now()
        )
        base_actions.want(base=self.base, commit=self.head, now=self.now())
        if self.base.state not in base_actions.UNDER_WAY:
            base_actions.give_out(base=self.base, now=self.now())
        build_base(self.base)
        base.refresh_from_db()
        return self.base

    def commit(self, path: str, text: str) -> None:
        write(self.source / path, text)
        git(self.source, "add", "-A")
        git(self.source, "commit", "-q", "-m", path)

    def workspace(self):
        """One that is made, of an agent that hasn't begun."""
        self.number += 1
        agent = make_agent(f"w1/agent-{self.number:02d}", host=self.host)
        workspace = make_workspace(
            agent,
            repository=self.repository,
            base_commit=self.head,
            path=str(places.root().parent / "workspaces" / agent.name),
        )
        assert create_workspace(workspace) == ""
        return workspace

    def agent(self) -> "WarmAgent":
        workspace = self.workspace()
        start = Warmth([workspace]).start_of(workspace)
        record_starts({workspace: start}, self.now())
        return WarmAgent(workspace, start)


class WarmAgent:
    def __init__(self, workspace, start: Start) -> None:
        self.workspace, self.start = workspace, start
        self.path = Path(workspace.path)
        self.built = places.directories_of(workspace)
        shown = {workspace.pk} if start.view else set()
        environment = environments_for([workspace], shown)[workspace.pk]
        agent: Agent = workspace.agent
        self.environment = plain_environment() | environment | {
            "PATH": f"{places.shims()}:{os.environ['PATH']}",
            "SWARMYARD_RUN": marker(agent),
            "SWARMYARD_AGENT": agent.name,
        }  # fmt: skip

    def do(self, *argv: str) -> subprocess.CompletedProcess[str]:
        words = view.prefix(self.start.view, view.seen_at(self.start.view, str(self.path)))
        return subprocess.run(
            [*words, *argv],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def cargo(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.do("cargo", *argv)

    def edit(self, path: str, text: str) -> None:
        write(self.path / path, text)


def clean(workspace: Path, directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The same without Swarmyard, in an empty directory."""
    return subprocess.run(
        ["cargo", *argv],
        cwd=workspace,
        env=plain_environment() | {"CARGO_TARGET_DIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def plain_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CARGO_", "SWARMYARD_", "RUSTC_", "RUSTFLAGS"))
    }


def make_source(place: Path) -> Path:
    make_crates(place, CRATES, binary="app")
    write(
        place / "ground" / "build.rs",
        'fn main() { println!("cargo:rerun-if-changed=words.txt"); println!("cargo:rustc-env=WORDS={}", '
        'std::fs::read_to_string("words.txt").unwrap().trim()); }',
    )
    write(place / "ground" / "words.txt", "hello")
    write(
        place / "ground" / "src" / "lib.rs",
        'pub fn total() -> u64 { env!("WORDS").len() as u64 }\n'
        "#[test]\nfn it_counts() { assert_eq!(total(), 5); }\n",
    )
    write(
        place / "app" / "src" / "main.rs",
        'fn main() { println!("{} {}", middle::total() + apart::total(), env!("CARGO_MANIFEST_DIR")); }\n',
    )
    write(place / ".gitignore", "target\n")
    git(place.parent, "init", "-q", "-b", "main", str(place))
    subprocess.run(["cargo", "generate-lockfile"], cwd=place, check=True, capture_output=True)
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "all")
    return place


def compiled(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Names of the crates that weren't fresh."""
    assert done.returncode == 0, done.stderr
    return [
        line.split()[1]
        for line in done.stderr.splitlines()
        if line.split()[:1] in (["Compiling"], ["Checking"])
    ]
