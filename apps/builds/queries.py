"""Builds, and waits for locks, as people ask for them. All of it reads a bounded number of rows."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Count, Q, Sum

from apps.builds.domain.waiting import Party, Wait
from apps.builds.models import OPEN, Build, BuildQuerySet, BuildState, LockWait, OngoingWait
from apps.fleet.models import Host

MOST_WAITS = 20_000  # of a span, the newest
MOST_TIMES = 2_000
LONGEST_WAIT = timedelta(hours=1)  # how long before a span one that reaches into it may have begun
WAIT_FIELDS = (
    "kind", "began_at", "ms", "holder_pid", "build__agent_id", "build__who", "agent_id", "agent__name",
    "holder_id", "holder__agent_id", "holder__who", "holder_agent_id", "holder_agent__name",
)  # fmt: skip
STATES: dict[str, tuple[str, ...]] = {
    "open": OPEN,
    "waiting": (BuildState.WAITING,),
    "running": (BuildState.RUNNING,),
    "passed": (BuildState.PASSED,),
    "failed": (BuildState.FAILED,),
    "ended": (BuildState.KILLED, BuildState.LOST),
}


@dataclass(frozen=True, slots=True)
class BuildFilter:
    """Empty: any. `who`: the agent's number."""

    who: int | None = None
    wave: str = ""
    mode: str = ""
    state: str = ""
    repository: str = ""
    host: str = ""

    @property
    def matches(self) -> Q:
        found = Q()
        if self.who is not None:
            found &= Q(agent=self.who)
        if self.wave:
            found &= Q(group=self.wave)
        if self.mode:
            found &= Q(mode=self.mode)
        if self.state in STATES:
            found &= Q(state__in=STATES[self.state])
        if self.repository:
            own = Q(agent__workspace__repository__name=self.repository)
            found &= own | Q(directory__repository__name=self.repository)
        if self.host:
            found &= Q(host__name=self.host)
        return found

    @property
    def matches_git(self) -> Q:
        """Waits of agents' git, which has neither mode nor state."""
        if self.mode or self.state:
            return Q(pk__in=[])
        found = Q(agent__isnull=False)
        if self.who is not None:
            found &= Q(agent=self.who)
        if self.wave:
            found &= Q(agent__group=self.wave)
        if self.repository:
            found &= Q(agent__workspace__repository__name=self.repository)
        if self.host:
            found &= Q(agent__host__name=self.host)
        return found


def builds_of(chosen: BuildFilter) -> BuildQuerySet:
    """Newest first."""
    return Build.objects.filter(chosen.matches).order_by("-asked_at", "-pk")


def times_of(chosen: BuildFilter, since: datetime) -> list[float]:
    """Seconds from its slot to its end of each build that was asked for since then and ran to its end; the newest
    MOST_TIMES."""
    ended = builds_of(chosen).filter(
        asked_at__gte=since,
        began_at__isnull=False,
        ended_at__isnull=False,
        state__in=(BuildState.PASSED, BuildState.FAILED),
    )
    rows = ended.values_list("began_at", "ended_at")[:MOST_TIMES]
    return [max(0.0, (end - begin).total_seconds()) for begin, end in rows if begin and end]


def waited_by_kind(chosen: BuildFilter, since: datetime) -> dict[str, float]:
    """Milliseconds of the waits that began since then."""
    waits = LockWait.objects.filter(began_at__gte=since)
    if chosen != BuildFilter():
        waits = waits.filter(Q(build__in=Build.objects.filter(chosen.matches)) | chosen.matches_git)
    sums = waits.order_by().values_list("kind").annotate(total=Sum("ms"))
    return {kind: total for kind, total in sums if total}


def parties_of(
    pid: int,
    agent: int | None, who: str | None, git_agent: int | None, git_who: str | None,
    holder: int | None, holder_agent: int | None, holder_who: str | None,
    git_holder: int | None, git_holder_who: str | None,
) -> tuple[Party, Party]:  # fmt: skip
    """Who waited, and for whom."""
    waiter = Party(git_agent, git_who or "") if git_agent else Party(agent, who or "")
    if git_holder:
        return waiter, Party(git_holder, git_holder_who or "")
    return waiter, Party(holder_agent, holder_who or "") if holder else Party(None, "", pid)


def waits_since(since: datetime) -> Sequence[Wait]:
    """Those that reach into the time since then, newest first, MOST_WAITS at most."""
    rows = (
        LockWait.objects.filter(began_at__gte=since - LONGEST_WAIT)
        .order_by("-began_at")
        .values_list(*WAIT_FIELDS)[:MOST_WAITS]
    )
    edge = since.timestamp()
    found = []
    for kind, began_at, ms, pid, *parties in rows:
        began = began_at.timestamp()
        if began + ms / 1000 > edge:
            found.append(Wait(kind, began, ms, *parties_of(pid, *parties)))
    return found


def waits_so_far(hosts: Collection[int], now: datetime) -> list[Wait]:
    """Those that go on, as if they ended now."""
    return [
        Wait(
            wait.kind,
            wait.began_at.timestamp(),
            max(0.0, (now - wait.began_at).total_seconds() * 1000),
            Party(wait.build.agent_id, wait.build.who),
            Party(wait.holder.agent_id, wait.holder.who) if wait.holder else Party(None, "", wait.holder_pid),
        )
        for wait in ongoing_waits(BuildFilter(), hosts)[:MOST_WAITS]
    ]


def ongoing_waits(chosen: BuildFilter, hosts: Collection[int]) -> models.QuerySet[OngoingWait]:
    """Waits for locks of files that these hosts say go on, the longest first, with who waits and for whom."""
    waits = OngoingWait.objects.filter(build__host__in=hosts, build__state__in=OPEN)
    if chosen != BuildFilter():
        waits = waits.filter(build__in=Build.objects.filter(chosen.matches))
    long = (f"{who}__agent__{name}" for who in ("build", "holder") for name in ("prompt", "command"))
    return waits.select_related("build__agent", "holder__agent").defer(*long).order_by("began_at")


def open_by_host() -> dict[int, dict[str, int]]:
    """Builds that run or wait for a slot: by host, and state."""
    found: dict[int, dict[str, int]] = {}
    rows = Build.objects.open().order_by().values_list("host_id", "state").annotate(Count("pk"))
    for host, state, count in rows:
        found.setdefault(host, {})[state] = count
    return found


def cores_of(host: Host) -> int:
    """That its builds may use; one at least."""
    return max(1, math.floor(host.usable_cpus or host.logical_cpus or 1))
