from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.access.roles import shell_actor
from apps.waves.actions import start_wave
from apps.waves.domain.request import WaveRequest
from apps.waves.exceptions import WaveRefused
from apps.workspaces.actions import add_repository
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.models import Repository
from apps.workspaces.queries import find_repository
from controlplane.demo import make_repository, rust_builds
from controlplane.management.commands import up

BUDGET_MB = 250  # of an agent with what it builds
# About ten minutes of work for each agent, one operation a second.
DRILL = ["--operations", "600", "--think-ms", "700", "--overlap", "0.3", "--fail-rate", "0.02"]
PYTHON = ["--", "python3", "-m", "unittest", "-q"]
RUST = [
    "--check",
    "cargo check --quiet --workspace",
    "--",
    "cargo",
    "test",
    "--quiet",
    "--workspace",
    "--lib",
    "--bins",
]


class Command(up.Command):
    help = "Start the yard with agents at work: drills, which edit, test and commit for real and need no API key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--repository", help="a repository of your own to work on; your checkout is not touched"
        )
        parser.add_argument("--agents", type=int, default=8, help="(%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        self.own, self.agents = options["repository"], options["agents"]
        super().handle(*args, **options)

    def after_ready(self, address: str) -> None:
        try:
            repository = known_repository(self.own)
            request = WaveRequest(
                repository=repository.name,
                preset="drill",
                agents=self.agents,
                command=[*DRILL, *([] if self.own else work_in(Path(repository.path)))],
                title="Demo",
                memory_budget_mb=BUDGET_MB,
            )
            wave = start_wave(request=request, actor=shell_actor(), now=timezone.now())
        except (RepositoryRefused, WaveRefused) as error:
            raise CommandError(str(error)) from error
        self.say(f"{wave.label}: {wave.size} agents start on {repository.name}; Ctrl-C ends the yard.")


def known_repository(own: str | None) -> Repository:
    path = own or str(make_repository(settings.SWARMYARD_HOME / "demo" / "measures"))
    try:
        return add_repository(path_or_url=path, actor=shell_actor(), now=timezone.now())
    except RepositoryRefused:
        from_before = find_repository(path)
        if from_before is None:
            raise
        return from_before


def work_in(repository: Path) -> list[str]:
    return RUST if rust_builds(repository) else PYTHON
