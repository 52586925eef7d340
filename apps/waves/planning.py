"""Checking what is asked for against what is there, and the preview of what would happen. Starts and writes nothing,
but that a repository named by its path is registered on the way to a start."""

from dataclasses import dataclass, field
from datetime import datetime

from apps.capacity.domain.admission import MB, Request
from apps.fleet.domain.preset import LaunchRefused, LaunchValues, Preset, PresetError, render
from apps.fleet.equipment import limits_problems, presence_of
from apps.fleet.models import Host
from apps.fleet.places import presets_dir
from apps.fleet.presets import load_presets
from apps.fleet.readings import admission, hosts_for_agents, to_prepare_and_start
from apps.lib.questions import Ask, NoAnswer, here
from apps.waves.domain.request import WaveRequest, problems
from apps.waves.domain.stepping import steps_of
from apps.waves.exceptions import WaveRefused
from apps.workspaces.exceptions import GitFailed
from apps.workspaces.inspection import start_of
from apps.workspaces.models import Repository, RepositoryState
from apps.workspaces.queries import find_repository, this_host


@dataclass(frozen=True, slots=True)
class Checked:
    request: WaveRequest
    repository: Repository
    preset: Preset
    base_commit: str
    checkout_bytes: int | None  # None where nobody can tell
    used_labels: list[str]  # of waves, of whatever home, that have branches in the repository


@dataclass(frozen=True, slots=True)
class WavePlan:
    """The preview of a wave. `errors` by field; with any, nothing can start. `admitted` agents could start at once."""

    errors: dict[str, str]
    steps: list[int] = field(default_factory=list)  # agents in each step
    admitted: int = 0
    waiting_for: str = ""
    memory_mb: int = 0
    disk_mb: int = 0  # of checkouts, and of logs at their largest
    base_commit: str = ""
    target: str = ""
    warnings: list[str] = field(default_factory=list)


def check_request(request: WaveRequest, now: datetime, ask: Ask = here) -> Checked:
    """Raises WaveRefused with every problem found."""
    found = problems(request)
    preset = check_preset(request, found, now)
    repository = usable_repository(request.repository, found)
    if found or preset is None or repository is None:
        raise WaveRefused(" ".join(found.values()))
    commit, size, labels = start_in(repository, ask)
    return Checked(request, repository, preset, commit, size, labels)


def check_preset(request: WaveRequest, found: dict[str, str], now: datetime) -> Preset | None:
    try:
        presets = load_presets(presets_dir())
    except PresetError as error:
        found["preset"] = str(error)
        return None
    preset = presets.get(request.preset)
    if preset is None:
        found["preset"] = f"There is no preset “{request.preset}”: give one of {', '.join(presets)}."
        return None
    try:
        render(preset, sample_values(request))
    except LaunchRefused as error:
        found["prompt" if "rompt" in str(error) else "command"] = str(error)
        return None
    presence = presence_of(preset, hosts_for_agents(now), now, command=request.command)
    if not presence.found:
        program = (
            request.command[0] if preset.executable == "{command}" and request.command else preset.executable
        )
        found["preset"] = (
            f"The program “{program}” is not installed on {presence.where}. {preset.install_hint}".strip()
        )
    return preset


def sample_values(request: WaveRequest) -> LaunchValues:
    """Values that stand for those known only at launch."""
    return LaunchValues(
        workspace="/workspace",
        prompt=request.prompt,
        prompt_file="/prompt",
        session_id="00000000-0000-0000-0000-000000000000",
        git_dir="/git",
        python="python",
        project="/project",
        command=tuple(request.command),
    )


def usable_repository(name_or_path: str, found: dict[str, str]) -> Repository | None:
    repository = find_repository(name_or_path)
    if repository is None:
        found.setdefault(
            "repository",
            f"No repository “{name_or_path}” is registered: add it first (`manage.py repository add`).",
        )
    elif repository.state == RepositoryState.CLONING:
        found["repository"] = f"{repository.name} is still being cloned: start the wave when it is ready."
    elif repository.state == RepositoryState.FAILED:
        found["repository"] = f"{repository.name} could not be cloned: {repository.problem}"
    return repository


def start_in(repository: Repository, ask: Ask) -> tuple[str, int | None, list[str]]:
    """The commit to start from, the disk that a checkout of it takes (None where nobody can tell), and the waves that
    have branches there."""
    asked = (repository.path, repository.target, repository.checkout_commit, repository.checkout_bytes)
    try:
        commit, size, labels = ask(this_host(), start_of, *asked, refusals=(GitFailed,))
    except GitFailed as error:
        raise WaveRefused(f"{repository.name}: {error}") from error
    return commit, size, labels


def plan_wave(request: WaveRequest, now: datetime, ask: Ask = here) -> WavePlan:
    """What `start_wave` would do with this request now. `ask` does the look at the repository."""
    errors = problems(request)
    preset = check_preset(request, errors, now)
    repository = usable_repository(request.repository, errors)
    commit, size = "", None
    if (
        repository is not None and not errors
    ):  # it is a question to a worker, so nothing for a form that is half filled
        try:
            commit, size, _ = start_in(repository, ask)
        except (WaveRefused, NoAnswer) as error:
            errors["repository"] = str(error)
    if errors or preset is None or repository is None:
        return WavePlan(errors)
    budget = request.memory_budget_mb or preset.memory_budget_mb
    need = to_prepare_and_start(budget_mb=budget, checkout_bytes=size or 0)
    admitted, waiting_for = admission_now(request.agents, need, now)
    numbers = steps_of(request.agents, request.step_size)
    return WavePlan(
        errors={},
        steps=[numbers.count(step) for step in range(numbers[-1] + 1)],
        admitted=admitted,
        waiting_for=waiting_for,
        memory_mb=budget * request.agents,
        disk_mb=need.disk * request.agents // MB,
        base_commit=commit,
        target=repository.target,
        warnings=[*size_warnings(size), *host_warnings(now), *limit_warnings(preset, now)],
    )


def admission_now(agents: int, need: Request, now: datetime) -> tuple[int, str]:
    """How many of `agents` could start at once over all hosts, and what the next one would wait for."""
    hosts = hosts_for_agents(now)
    if not hosts:
        return 0, "a host: start the yard with `manage.py up`"
    total, waiting_for = 0, ""
    for index, host in enumerate(hosts):
        share = len(range(index, agents, len(hosts)))
        answer = admission(host, [need] * share, now)
        total += answer.count
        waiting_for = waiting_for or answer.waiting_for
    return total, waiting_for


def size_warnings(size: int | None) -> list[str]:
    if size is not None:
        return []
    return [
        "what checkouts take of the disk can't be told (objects are missing, or it takes too long): they aren't counted"
    ]


def host_warnings(now: datetime) -> list[str]:
    return [
        f"host {host.name} is {host.health(now)}: its runhost is not answering"
        for host in Host.objects.filter(draining=False)
        if host.health(now) in {"critical", "failed", "unknown"}
    ]


def limit_warnings(preset: Preset, now: datetime) -> list[str]:
    if preset.memory_limit_mb is None:
        return []
    problems = limits_problems(hosts_for_agents(now), now)
    return [
        f"host {name} can't set the hard memory limit of the preset {preset.name}, so nothing of it starts there: {why}"
        for name, why in problems.items()
    ]
