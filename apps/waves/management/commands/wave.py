import sys
from argparse import REMAINDER, ArgumentParser, FileType
from dataclasses import replace
from typing import Any

from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.access.roles import shell_actor
from apps.fleet.models import Agent
from apps.fleet.spending import ledger_of
from apps.lib.cli import OperatorCommand, table
from apps.waves import actions
from apps.waves.domain.request import MAX_PROMPT, POLICIES, WaveRequest, problems
from apps.waves.exceptions import WaveRefused
from apps.waves.models import Wave, WaveState
from apps.waves.planning import plan_wave
from apps.waves.queries import progress_of_all
from apps.waves.serial import wave_data
from apps.workspaces.actions import add_repository
from apps.workspaces.exceptions import RepositoryRefused
from apps.workspaces.queries import find_repository


class Command(OperatorCommand):
    help = "Start, watch and steer waves of agents."
    refusals = (WaveRefused, RepositoryRefused, NotAllowed)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        self.add_start(self.subcommand(commands, "start", "Start a wave."))
        self.add_start(self.subcommand(commands, "plan", "Show what `start` would do, and start nothing."))
        listing = self.subcommand(commands, "list", "List waves, newest first.")
        listing.add_argument("--all", action="store_true", help="also those that are over")
        for name, summary in (
            ("show", "Show one wave."),
            ("pause", "Start nothing further and freeze its agents."),
            ("resume", "Go on."),
            ("abort", "Start nothing further and stop its agents."),
            ("retry", "Start its failed and lost agents again."),
        ):
            self.subcommand(commands, name, summary).add_argument("wave", metavar="ID", help="as in w12")
        scale = self.subcommand(commands, "scale", "Change the number of agents.")
        scale.add_argument("wave", metavar="ID")
        scale.add_argument("agents", type=int, metavar="N")

    def add_start(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repository", required=True, metavar="PATH", help="path or name of a repository"
        )
        parser.add_argument("--preset", required=True, metavar="NAME")
        parser.add_argument("--agents", type=int, required=True, metavar="N")
        parser.add_argument(
            "--wave-size", type=int, default=20, help="agents a step; 0: all at once (%(default)s)"
        )
        parser.add_argument("--pause-ms", type=int, default=10, help="between steps (%(default)s)")
        prompt = parser.add_mutually_exclusive_group()
        prompt.add_argument("--prompt", default="", metavar="TEXT")
        prompt.add_argument(
            "--prompt-file", type=FileType("r", encoding="utf-8"), metavar="F", help="- for stdin"
        )
        parser.add_argument("--role", default="")
        parser.add_argument("--memory-mb", type=int, help="budget of each agent (the preset's)")
        parser.add_argument(
            "--restart", choices=POLICIES, default="lost", help="when to start one again (%(default)s)"
        )
        parser.add_argument("--title", default="")
        parser.add_argument("--key", help="idempotency key: the same key again gives the first wave")
        parser.add_argument("command", nargs=REMAINDER, metavar="-- COMMAND…")

    def do_start(self, **options: Any) -> tuple[Any, str]:
        request = self.request(options)
        if found := problems(request):
            raise WaveRefused(" ".join(found.values()))
        request = replace(request, repository=known_repository(request.repository))
        wave = actions.start_wave(request=request, actor=shell_actor(), now=timezone.now())
        text = f"{wave.label} started: {wave.size} × {wave.preset} on {wave.repository.name}."
        return wave_data(wave), text

    def do_plan(self, **options: Any) -> tuple[Any, str]:
        plan = plan_wave(self.request(options), timezone.now())
        if plan.errors:
            raise WaveRefused(" ".join(plan.errors.values()))
        steps = "1 step" if len(plan.steps) == 1 else f"{len(plan.steps)} steps"
        lines = [
            f"{sum(plan.steps)} agents in {steps} ({', '.join(map(str, plan.steps))}), "
            f"from {plan.target} at {plan.base_commit[:10]}; {plan.memory_mb} MB of memory "
            f"and {plan.disk_mb} MB of disk promised in all.",
            f"{plan.admitted} could start at once"
            + (f"; then it waits for {plan.waiting_for}." if plan.waiting_for else "."),
            *(f"Warning: {warning}" for warning in plan.warnings),
        ]
        data = {
            name: getattr(plan, name)
            for name in ("steps", "admitted", "waiting_for", "memory_mb", "disk_mb", "warnings")
        }
        return data, "\n".join(lines)

    def request(self, options: dict[str, Any]) -> WaveRequest:
        command = options["command"]
        return WaveRequest(
            repository=options["repository"],
            preset=options["preset"],
            agents=options["agents"],
            step_size=options["wave_size"],
            pause_ms=options["pause_ms"],
            prompt=prompt_of(options),
            command=command[1:] if command[:1] == ["--"] else command,
            role=options["role"],
            memory_budget_mb=options["memory_mb"],
            restart_policy=options["restart"],
            title=options["title"],
            idempotency_key=options["key"],
        )

    def do_list(self, **options: Any) -> tuple[Any, str]:
        waves = list((Wave.objects.all() if options["all"] else Wave.objects.open()).order_by("-pk")[:200])
        progress = progress_of_all(waves, timezone.now())
        rows = [
            (
                wave.label,
                wave.state,
                wave.preset,
                wave.size,
                progress[wave.pk].live,
                progress[wave.pk].ended,
                wave.title,
            )
            for wave in waves
        ]
        if not rows:
            return (
                [],
                "No wave is open. `wave start` starts one; `wave list --all` shows those that are over.",
            )
        head = ("WAVE", "STATE", "PRESET", "AGENTS", "RUNNING", "ENDED", "TITLE")
        ledger = ledger_of(Agent.objects.filter(group__in=[wave.label for wave in waves]))
        found = [wave_data(wave, progress[wave.pk], ledger.of_wave(wave.label)) for wave in waves]
        return found, table(head, rows)

    def do_show(self, **options: Any) -> tuple[Any, str]:
        wave = find(options["wave"])
        data = wave_data(wave)
        lines = [
            f"{wave.label}: {wave.get_state_display().lower()}" + (f" ({wave.reason})" if wave.reason else "")
        ]
        if wave.waiting_for:
            lines.append(f"waits for {wave.waiting_for}")
        counts = {name: count for name, count in data["progress"].items() if count and name != "eta_seconds"}
        lines.append(", ".join(f"{name} {count}" for name, count in counts.items()))
        agents = wave.members.values_list("agent__name", "agent__state", "agent__activity", "agent__reason")
        rows = [(name, state, activity or reason) for name, state, activity, reason in agents]
        return data, "\n".join(lines) + "\n\n" + table(("AGENT", "STATE", "NOW"), rows)

    def do_pause(self, **options: Any) -> tuple[Any, str]:
        return self.steer(actions.pause_wave, options["wave"])

    def do_resume(self, **options: Any) -> tuple[Any, str]:
        return self.steer(actions.resume_wave, options["wave"])

    def do_abort(self, **options: Any) -> tuple[Any, str]:
        return self.steer(actions.abort_wave, options["wave"])

    def do_scale(self, **options: Any) -> tuple[Any, str]:
        return self.steer(actions.scale_wave, options["wave"], size=options["agents"])

    def do_retry(self, **options: Any) -> tuple[Any, str]:
        wave = find(options["wave"])
        count = actions.retry_wave(wave=wave, actor=shell_actor(), now=timezone.now())
        when = " when it is resumed" if wave.state == WaveState.PAUSED else ""
        return wave_data(wave) | {"retried": count}, f"{wave.label}: {count} agents start again{when}."

    def steer(self, action: Any, label: str, **values: Any) -> tuple[Any, str]:
        wave = action(wave=find(label), actor=shell_actor(), now=timezone.now(), **values)
        return wave_data(wave), f"{wave.label} is {wave.get_state_display().lower()}."


def prompt_of(options: dict[str, Any]) -> str:
    file = options["prompt_file"]
    if file is None:
        return str(options["prompt"])
    try:
        return str(file.read(MAX_PROMPT + 1))
    except UnicodeDecodeError as error:
        raise WaveRefused(f"{file.name} is no UTF-8 text: {error}.") from error


def find(label: str) -> Wave:
    wave = Wave.objects.filter(label=label if label.startswith("w") else f"w{label}").first()
    if wave is None:
        raise WaveRefused(f"There is no wave “{label}”: `wave list --all` shows them.")
    return wave


def known_repository(name_or_path: str) -> str:
    """The name of a registered repository; one that is given by its path is registered on the way."""
    if known := find_repository(name_or_path):
        return known.name
    added = add_repository(path_or_url=name_or_path, actor=shell_actor(), now=timezone.now())
    print(f"Repository “{added.name}” is registered now.", file=sys.stderr)
    return added.name
