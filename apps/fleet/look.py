"""One agent as a round of `runhost` finds it, and what follows from that for its row."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.fleet.actions import observe
from apps.fleet.actions.observe import Sighting
from apps.fleet.domain.lifecycle import Ending, Seen, Wanted, ending, with_rest
from apps.fleet.launcher import Run
from apps.fleet.models import Agent, Desired, State
from apps.fleet.watch import Watch, age

STARTING_HURRY = 5.0  # seconds
LAST_OF_ITS_OWN = 128  # exit codes above may tell of a signal


@dataclass(slots=True)
class Look:
    """One agent at one moment."""

    agent: Agent
    watch: Watch
    run: Run
    seen: Seen
    held: bool = False  # it ended, but somebody keeps its output open
    over_limit: bool = False  # the kernel ended some of it at its hard memory limit

    @property
    def awaits_status(self) -> bool:
        """Its process is gone, and its launcher hasn't written how it ended."""
        return self.seen.launched and not (self.seen.alive or self.seen.exited)


def wanted(agent: Agent, now: datetime) -> Wanted:
    return Wanted(
        desired=agent.desired,
        state=agent.state,
        seconds_since_stop=age(agent.stop_requested_at, now),
        seconds_since_launch=age(agent.launched_at, now),
        grace=settings.STOP_GRACE_SECONDS,
    )


def is_just_starting(agent: Agent, now: datetime) -> bool:
    """A launcher writes its pid within moments; one that doesn't is no reason to look every moment."""
    return agent.state == State.STARTING and (age(agent.launched_at, now) or 0.0) < STARTING_HURRY


def note(look: Look, now: datetime, **fields: object) -> None:
    """Write down what the row doesn't say yet. Nothing of what it does: a step may come with every look."""
    news = look.watch.changed(fields) | {
        name: value for name, value in fields.items() if getattr(look.agent, name) != value
    }
    if not news:
        return
    observe.record_sightings(
        sightings=[Sighting(look.agent.pk, look.agent.epoch, news)], seen=[look.agent.pk], now=now
    )


def ending_of(look: Look) -> Ending:
    """How it ended, with what is left of it."""
    return with_rest(own_ending(look), left=look.seen.left, held=look.held)


def own_ending(look: Look) -> Ending:
    result, code = look.watch.result, look.run.exit_code
    error = "" if result is None or result.ok else result.text[:200] or "failed, it says"
    signalled = code is None or code > LAST_OF_ITS_OWN
    # A runhost before us may have asked it to go after its result: that isn't on record, but it ended by a signal.
    by_result = look.watch.parser_ends_on_result and (signalled or look.watch.asked_to_end_at is not None)
    if result is not None and by_result:
        return Ending("failed", error) if error else Ending("exited", "done")
    return ending(
        exit_code=code,
        asked=look.agent.desired in (Desired.STOPPED, Desired.KILLED),
        result_error=error,
        last_words=look.watch.activity,
        over_limit=look.over_limit,
    )
