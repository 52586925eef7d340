"""The only place that writes bases. Queued ones are built by their host's own process (base_keeper.py)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.access.roles import require
from apps.builds.exceptions import BaseRefused
from apps.builds.models import Base, BaseState
from apps.capacity import leases
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD, Actor, Role
from apps.events.hints import publish_on_commit
from apps.fleet.models import ENDED, Host
from apps.lib.text import plain_text
from apps.workspaces.models import Repository, Workspace

DEBOUNCE = timedelta(seconds=10)  # that the target branch must have stood still
TRY_AGAIN = timedelta(minutes=10)  # after a build that failed
STARTING = timedelta(seconds=5)  # between a build's begin on record and now
WATCHED = timedelta(hours=1)  # after the last agents were made
LEASE_SECONDS = 30.0
ATTEMPTS = 3
UNDER_WAY = (BaseState.QUEUED, BaseState.BUILDING)


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


def build_anew(*, host_pk: int, repository_pk: int) -> None:
    """What is on disk isn't what was built; whoever builds it next finds that out."""
    rows = Base.objects.filter(host=host_pk, repository=repository_pk, state=BaseState.READY)
    rows.update(state=BaseState.NONE, commit="")


@transaction.atomic
def ask_for_build(*, base: Base, actor: Actor, now: datetime) -> None:
    """Queue its build now, whatever became of the one before. Raises NotAllowed, BaseRefused."""
    require(actor, Role.OPERATOR, "have a base built")
    if base.state in UNDER_WAY or not give_out(base=base, now=now):
        raise BaseRefused(f"The {base} is being built already, or will be in a moment.")
    Base.objects.filter(pk=base.pk).update(attempts=0)
    text = f"{base} is built anew, as {actor.name} asked for"
    record(Fact("base.asked", actor, text, "repository", base.repository_id, base.repository.name))


def keep_bases(now: datetime) -> None:
    """The scheduler's step: what is due to be built is queued, and so is what somebody began and was ended at."""
    for base in due(now):
        give_out(base=base, now=now)
    for base in Base.objects.filter(state=BaseState.BUILDING, state_at__lte=now - STARTING):
        if not leases.is_held(name=lease_of(base), now=now):
            give_out_again(base=base, now=now)


def due(now: datetime) -> QuerySet[Base]:
    moved = ~Q(commit=F("wanted")) & Q(wanted_at__lte=now - DEBOUNCE)
    failed = Q(state=BaseState.FAILED, state_at__lte=now - TRY_AGAIN, used_at__gt=now - WATCHED)
    return Base.objects.exclude(state__in=UNDER_WAY).filter(moved | failed)


def give_out(*, base: Base, now: datetime) -> bool:
    """Queue its build, once: False when somebody else did."""
    rows = Base.objects.filter(pk=base.pk, state=base.state, state_at=base.state_at)
    return rows.update(state=BaseState.QUEUED, state_at=now) == 1


def give_out_again(*, base: Base, now: datetime) -> None:
    """One that dies each time is told."""
    if base.attempts < ATTEMPTS:
        give_out(base=base, now=now)
    else:
        problem = f"its build was cut off {base.attempts} times; see the log of the host's process"
        finish_build(base=base, outcome=Outcome(base.wanted, problem), now=now)


def begin_build(*, base: Base, now: datetime) -> bool:
    """For the holder of its lease. False when it isn't to be built any more."""
    rows = Base.objects.filter(pk=base.pk, state=BaseState.QUEUED)
    if not rows.update(state=BaseState.BUILDING, state_at=now, attempts=F("attempts") + 1):
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


def watched(host: Host, now: datetime) -> list[Base]:
    """Bases of which it matters where their target branch stands: agents were made from them lately, or are at work."""
    at_work = Workspace.objects.filter(agent__isnull=False).exclude(agent__state__in=ENDED)
    recent = Q(used_at__gt=now - WATCHED) | Q(repository__in=at_work.values("repository"))
    return list(Base.objects.filter(recent, host=host).select_related("repository").order_by("pk"))
