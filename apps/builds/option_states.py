"""Which optimisations of a repository's builds are active, and why others aren't."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.conf import settings

from apps.builds.models import Base, BaseState, BuildOptions, CompilerCache, HostSlots
from apps.fleet.models import Host
from apps.workspaces.models import Repository

WORDS = {
    "own_directories": "Own build directories",
    "slots": "Build slots",
    "warm_start": "Warm start",
    "same_path": "One path for all",
    "compiler_cache": "Compiler cache",
    "jobserver": "Shared jobserver",
}
NEEDS_OWN = ("warm_start", "same_path")  # nothing is done for agents that build where cargo would


@dataclass(frozen=True, slots=True)
class OptionState:
    """`why`: what keeps one that is on from being active, or what it rests on."""

    name: str
    word: str
    meaning: str
    is_on: bool
    is_active: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of hosts: on which it works, and what keeps it from working on others."""

    works: Sequence[str]
    problems: Sequence[str] = ()

    @property
    def text(self) -> str:
        return "; ".join([*([f"on {', '.join(self.works)}"] if self.works else []), *self.problems])


def option_states(
    repository: Repository, options: BuildOptions, hosts: Collection[Host]
) -> list[OptionState]:
    answers = {
        "own_directories": Answer([host.name for host in hosts]),
        "slots": slots_on(hosts),
        "warm_start": bases_on(repository, hosts),
        "same_path": same_path_on(hosts),
        "compiler_cache": caches_on(hosts),
        "jobserver": slots_on(hosts),
    }
    return [state_of(name, options, answer) for name, answer in answers.items()]


def state_of(name: str, options: BuildOptions, answer: Answer) -> OptionState:
    is_on = bool(getattr(options, name))
    meaning = next(str(field.help_text) for field in BuildOptions._meta.fields if field.name == name)
    if not is_on:
        return OptionState(name, WORDS[name], meaning, is_on, False, "switched off here")
    if name in NEEDS_OWN and not options.own_directories:
        return OptionState(name, WORDS[name], meaning, is_on, False, "needs own build directories")
    return OptionState(name, WORDS[name], meaning, is_on, bool(answer.works), answer.text or "no host yet")


def slots_on(hosts: Collection[Host]) -> Answer:
    told = {row.host_id for row in HostSlots.objects.filter(host__in=hosts)}
    missing = [f"{host.name} hasn't told its slots yet" for host in hosts if host.pk not in told]
    return Answer([host.name for host in hosts if host.pk in told], missing)


def bases_on(repository: Repository, hosts: Collection[Host]) -> Answer:
    bases = {base.host_id: base for base in Base.objects.filter(repository=repository, host__in=hosts)}
    works, problems = [], []
    for host in hosts:
        base = bases.get(host.pk)
        if base is None:
            problems.append(f"no base on {host.name} yet: the first agents that build there ask for one")
        elif base.state == BaseState.READY:
            works.append(host.name)
        else:
            problems.append(f"the base on {host.name} is {WHILE[BaseState(base.state)]}")
    return Answer(works, problems)


WHILE = {
    BaseState.NONE: "to be built anew",
    BaseState.QUEUED: "queued",
    BaseState.BUILDING: "being built",
    BaseState.FAILED: "not there: its build failed",
}


def same_path_on(hosts: Collection[Host]) -> Answer:
    if not settings.SAME_PATH:
        return Answer([], ["SWARMYARD_SAME_PATH switches it off for all repositories"])
    works, problems = [], []
    for host in hosts:
        problem = (host.equipment or {}).get("view_problem")
        if problem == "":
            works.append(host.name)
        else:
            problems.append(f"{host.name}: {problem or 'has not said whether it can'}")
    return Answer(works, problems)


def caches_on(hosts: Collection[Host]) -> Answer:
    caches = {cache.host_id: cache for cache in CompilerCache.objects.filter(host__in=hosts)}
    works, problems = [], []
    for host in hosts:
        cache = caches.get(host.pk)
        if cache is not None and not cache.problem:
            works.append(host.name)
        else:
            problems.append(f"{host.name}: {cache.problem if cache else 'has not told of one yet'}")
    return Answer(works, problems)
