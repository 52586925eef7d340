"""Building a base: a checkout of the target branch, brought up to date in place so that only what changed is built.

It goes through the agents' own shim: the same keys, slots and reports; it lets agents go first.
"""

import json
import logging
import os
import secrets
import shlex
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from apps.builds import base_actions, places, views
from apps.builds.actions import BASE
from apps.builds.base_actions import LEASE_SECONDS, Outcome, lease_of
from apps.builds.bases import NotReady, OnDisk, Ready
from apps.builds.models import Base, BuildOptions
from apps.builds.preparing import environment_of, options_of
from apps.capacity import leases
from apps.fleet import view
from apps.fleet.places import home_id
from apps.lib.environment import passed_on
from apps.lib.paths import OutsideRoot, remove_tree, write_whole
from apps.lib.process import Completed, ProgramMissing, run
from apps.lib.text import plain_text
from apps.workspaces import git
from apps.workspaces.exceptions import GitFailed

log = logging.getLogger(__name__)

COMMANDS = (
    "cargo check --workspace --all-targets",
    "cargo test --workspace --no-run",
    "cargo build --workspace",
)
RENEW_SECONDS = 5.0
LOCK_SECONDS = 120.0  # for those who make build directories from it just now
NICE = "10"
METADATA_SECONDS = 60.0
OUTPUT_BYTES = 1_000_000  # kept of each command
MOST_METADATA = 100_000_000
FAULTS = (GitFailed, ProgramMissing, OutsideRoot, OSError, NotReady)


class BuildFailed(Exception):
    """The text says what of it."""


def build_base(base: Base) -> bool:
    """One at a time has the lease; the build runs in a thread, so that it can be renewed meanwhile. False when it is
    somebody else's to build, or not to be built any more."""
    holder = secrets.token_hex(8)
    if not renew(base, holder):
        return False
    begun = base_actions.begin_build(base=base, now=timezone.now())
    if begun:
        commit = base.wanted
        options = options_of([base.repository_id])[base.repository_id]
        is_shown = options.same_path and settings.SAME_PATH and view.can(base.host)
        builder = BaseBuilder(base, commit, options, is_shown=is_shown)
        # Not one of a pool: whoever ends this process doesn't wait for a build.
        thread = threading.Thread(target=builder.build, name="builds a base", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(RENEW_SECONDS)
            renew(base, holder)
        base_actions.finish_build(base=base, outcome=builder.outcome, now=timezone.now())
    leases.release(name=lease_of(base), holder=holder)
    return begun


def renew(base: Base, holder: str) -> bool:
    name, now = lease_of(base), timezone.now()
    return leases.acquire(name=name, holder=holder, now=now, seconds=LEASE_SECONDS) is not None


@dataclass
class BaseBuilder:
    """Without the database: it runs in a thread."""

    base: Base
    commit: str
    options: BuildOptions
    is_shown: bool  # at the path where agents see theirs
    printed: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.repository = self.base.repository
        self.disk = OnDisk(places.base_of(self.repository))
        self.until = time.monotonic() + settings.BASE_TIMEOUT_SECONDS
        self.began = time.monotonic()
        self.outcome = self.failed("it was cut off")

    def build(self) -> None:
        """Leaves its `outcome`."""
        try:
            with self.disk.to_change(until=time.monotonic() + LOCK_SECONDS) as before:
                if self.disk.is_spoiled(before):
                    remove_tree(self.disk.place, self.disk.built)
                self.outcome = self._build()
        except (*FAULTS, BuildFailed) as error:
            self.outcome = self.failed(str(error))
        except Exception as error:
            log.exception("a base could not be built")
            self.outcome = self.failed(f"{type(error).__name__}: {error}")

    def failed(self, problem: str) -> Outcome:
        return Outcome(self.commit, problem, time.monotonic() - self.began)

    def _build(self) -> Outcome:
        disk = self.disk
        self.check_out()
        if not (disk.workspace / "Cargo.toml").is_file():
            raise BuildFailed("there is no Cargo.toml at the top of the repository any more")
        disk.built.mkdir(exist_ok=True, mode=0o700)
        pairs = self.pairs()
        commands = commands_of(self.options)
        for command in commands:
            self.run(pairs, command)
        if not disk.keys():
            raise BuildFailed(
                "it was built somewhere else: is CARGO_TARGET_DIR set, in the environment of the host's process?"
            )
        own = own_crates(self.start(pairs, ["cargo", *METADATA], METADATA_SECONDS, MOST_METADATA))
        left = leaves_files(disk.workspace)
        # Last of all: nothing in it may be younger.
        ready = Ready(self.commit, time.time(), same_path=bool(pairs), own=own, leaves_files=left)
        disk.finish(ready)
        seconds = time.monotonic() - self.began
        return Outcome(self.commit, "", seconds, disk.size(), [*commands], ready.same_path)

    def check_out(self) -> None:
        """Only files that differ are written: the others keep their times."""
        checkout, repository = self.disk.workspace, Path(self.repository.path)
        if not is_worktree(checkout):
            with git.turn(repository):
                git.remove_worktree(repository, checkout)
                if checkout.exists():
                    remove_tree(self.disk.place, checkout)
                git.add_detached_worktree(repository, path=checkout, commit=self.commit)
        # Of a git that was killed; nobody else works here.
        (git.git_directory(checkout) / "index.lock").unlink(missing_ok=True)
        git.move_to(checkout, self.commit)

    def pairs(self) -> views.Pairs:
        if not self.is_shown or not views.can_be_shown(self.disk.workspace):
            return []
        pk = self.repository.pk
        return views.show(self.disk.workspace, self.disk.built, repository_pk=pk, pointer=f"base-{pk}")

    def run(self, pairs: views.Pairs, command: str) -> None:
        done = self.start(pairs, shlex.split(command), self.until - time.monotonic(), OUTPUT_BYTES)
        self.printed += [f"$ {command}\n".encode(), done.stdout, done.stderr, b"\n"]
        with suppress(OSError):
            write_whole(self.disk.log, b"".join(self.printed))
        if done.timed_out:
            raise BuildFailed(f"{command}: it took longer than {settings.BASE_TIMEOUT_SECONDS} s")
        if not done.ok:
            raise BuildFailed(f"{command}: {telling_line(done)}")

    def start(self, pairs: views.Pairs, argv: list[str], seconds: float, most: int) -> Completed:
        checkout, built = str(self.disk.workspace), str(self.disk.built)
        return run(
            [*view.prefix(pairs, view.seen_at(pairs, checkout)), *after_us(), *argv],
            cwd=checkout,
            env=self.environment(view.seen_at(pairs, built)),
            timeout=max(1.0, seconds),
            max_output=most,
        )

    def environment(self, built: str) -> dict[str, str]:
        own_directories = BuildOptions(scheme=self.options.scheme, slots=self.options.slots)
        given = environment_of(Path(built), own_directories)
        inherited = passed_on(os.environ)
        path = os.pathsep.join([str(places.shims()), inherited.get("PATH") or os.defpath])
        return inherited | given | {
            "PATH": path,
            "SWARMYARD_BUILD_PATIENT": "1",
            "SWARMYARD_AGENT": f"base of {self.repository.name}",
            "SWARMYARD_RUN": run_of(self.base),
        }  # fmt: skip


METADATA = ("metadata", "--format-version", "1", "--offline")


def commands_of(options: BuildOptions) -> list[str]:
    own = [line.strip() for line in options.base_commands.splitlines() if line.strip()]
    return own or list(COMMANDS)


def after_us() -> list[str]:
    """Words before a command that takes no CPU from others, and ends when this process does, whatever way."""
    words = ["nice", "-n", NICE] if shutil.which("nice") else []
    return [*words, "setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else words


def run_of(base: Base) -> str:
    """What reports of its builds have in place of an agent's marker."""
    return f"{home_id()}.{BASE}{base.pk}.0"


def is_worktree(checkout: Path) -> bool:
    try:
        return git.git_directory(checkout).is_dir()
    except (GitFailed, OSError):
        return False


def own_crates(metadata: Completed) -> tuple[str, ...]:
    """Names of crates and targets that lie in the repository, or beside it: what has a path, and no registry."""
    if not metadata.ok or metadata.truncated:
        raise BuildFailed(f"cargo metadata: {telling_line(metadata)}")
    own = [package for package in json.loads(metadata.stdout)["packages"] if package["source"] is None]
    names = {package["name"] for package in own}
    names |= {target["name"] for package in own for target in package["targets"]}
    return tuple(sorted(names))


def leaves_files(checkout: Path) -> bool:
    """Whether there is anything that isn't the repository's, but a lock file, which cargo makes where it lacks."""
    return bool(git.foreign_files(checkout) - {"Cargo.lock"})


def telling_line(done: Completed) -> str:
    """The first line that tells of an error, else the last one."""
    text = plain_text(done.stderr.decode("utf-8", "replace"), keep_lines=True)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("error")]
    return (telling[:1] or lines[-1:] or [f"exit code {done.code}"])[0][:300]
