"""The only place that writes bases. Their builds are jobs on a queue of their host's own: the checkout lies on that
machine's disk, and a build of minutes must not hold up preparations, clones and deliveries, which have the other ones.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.builds.models import Base, BaseState
from apps.capacity import leases
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD
from apps.events.hints import publish_on_commit
from apps.fleet.models import ENDED, Host
from apps.lib.queues import enqueue
from apps.lib.text import plain_text
from apps.workspaces.models import Repository, Workspace

DEBOUNCE = timedelta(seconds=10)  # that the target branch must have stood still
TRY_AGAIN = timedelta(minutes=10)  # after a build that failed
GIVEN = timedelta(seconds=120)  # that a job may wait for a worker before it is queued again
WATCHED = timedelta(hours=1)  # after the last agents were made
LEASE_SECONDS = 30.0
ATTEMPTS = 3
UNDER_WAY = (BaseState.QUEUED, BaseState.BUILDING)
MARGIN_SECONDS = 300  # of the job, beyond what its commands may take


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a build of a base went. `problem` is "" or what kept it from being made."""

    commit: str
    problem: str = ""
    seconds: float = 0.0
    size_bytes: int | None = None
    modes: list[str] = field(default_factory=list)
    same_path: bool = False


def lease_of(base: Base) -> str:
    return f"base.{base.pk}"


def ensure_base(*, repository: Repository, host: Host, commit: str, now: datetime) -> Base:
    """Agents that build were made: there is to be a base for those that come."""
    fields = {"wanted": commit, "wanted_at": now, "state_at": now, "used_at": now}
    base, is_new = Base.objects.get_or_create(repository=repository, host=host, defaults=fields)
    if is_new:
        give_out(base=base, now=now)
    else:
        Base.objects.filter(pk=base.pk).update(used_at=now)
    return base


def want(*, base: Base, commit: str, now: datetime) -> bool:
    """The target branch stands at `commit` now. True when that is news."""
    rows = Base.objects.filter(pk=base.pk).exclude(wanted=commit)
    return rows.update(wanted=commit, wanted_at=now, attempts=0) == 1


def keep_bases(now: datetime) -> None:
    """The scheduler's step: what is due to be built is given out, and what was given out and got lost."""
    for base in due(now):
        give_out(base=base, now=now)
    for base in Base.objects.filter(state__in=UNDER_WAY, state_at__lte=now - GIVEN):
        give_out_again(base=base, now=now)


def due(now: datetime) -> QuerySet[Base]:
    moved = ~Q(commit=F("wanted")) & Q(wanted_at__lte=now - DEBOUNCE)
    failed = Q(state=BaseState.FAILED, state_at__lte=now - TRY_AGAIN, used_at__gt=now - WATCHED)
    return Base.objects.exclude(state__in=UNDER_WAY).filter(moved | failed)


@transaction.atomic
def give_out(*, base: Base, now: datetime) -> bool:
    """Queue its build, once: False when somebody else did."""
    rows = Base.objects.filter(pk=base.pk, state=base.state, state_at=base.state_at)
    if not rows.update(state=BaseState.QUEUED, state_at=now, attempts=F("attempts") + 1):
        return False
    queue_build(base)
    publish_on_commit("repository", base.repository_id)
    return True


@transaction.atomic
def give_out_again(*, base: Base, now: datetime) -> None:
    """One whose job was lost: nobody holds its lease. One that dies each time is told."""
    if leases.is_held(name=lease_of(base), now=now):
        return
    if base.attempts >= ATTEMPTS:
        problem = f"its build was cut off {base.attempts} times; see the log of the cpu worker"
        finish_build(base=base, outcome=Outcome(base.wanted, problem), now=now)
    else:
        give_out(base=base, now=now)


def queue_build(base: Base) -> None:
    seconds = settings.BASE_TIMEOUT_SECONDS + MARGIN_SECONDS
    enqueue(f"cpu.{base.host.name}", "apps.builds.jobs.base_job", base.pk, seconds=seconds)


def begin_build(*, base: Base, now: datetime) -> bool:
    """For the holder of its lease. False when it isn't to be built any more."""
    rows = Base.objects.filter(pk=base.pk, state__in=UNDER_WAY)
    if not rows.update(state=BaseState.BUILDING, state_at=now):
        return False
    publish_on_commit("repository", base.repository_id)
    return True


@transaction.atomic
def finish_build(*, base: Base, outcome: Outcome, now: datetime) -> None:
    """Ready, or failed and told: agents start cold then."""
    fields: dict[str, object] = {
        "state": BaseState.FAILED if outcome.problem else BaseState.READY,
        "state_at": now,
        "commit": outcome.commit,
        "problem": plain_text(outcome.problem, 500),
        "seconds": outcome.seconds,
    }
    if not outcome.problem:
        fields |= {
            "built_at": now,
            "size_bytes": outcome.size_bytes,
            "modes": outcome.modes,
            "same_path": outcome.same_path,
            "attempts": 0,
        }
    if Base.objects.filter(pk=base.pk, state__in=UNDER_WAY).update(**fields):
        name, commit = base.repository.name, outcome.commit[:12]
        text = (
            f"base of {name} on {base.host.name} could not be built at {commit}: {outcome.problem}"
            if outcome.problem
            else f"base of {name} on {base.host.name} built at {commit} in {outcome.seconds:.0f} s"
        )
        kind = "base.failed" if outcome.problem else "base.ready"
        record(Fact(kind, YARD, plain_text(text, 600), "repository", base.repository_id, name))


def watched(now: datetime) -> list[Base]:
    """Bases of which it matters where their target branch stands: agents were made from them lately, or are at work."""
    at_work = Workspace.objects.filter(agent__isnull=False).exclude(agent__state__in=ENDED)
    recent = Q(used_at__gt=now - WATCHED) | Q(repository__in=at_work.values("repository"))
    return list(Base.objects.filter(recent).select_related("host", "repository").order_by("pk"))
