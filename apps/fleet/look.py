"""One agent as a round of `runhost` finds it, and what follows from that for its row."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.fleet.actions import observe
from apps.fleet.actions.observe import Sighting
from apps.fleet.domain.lifecycle import Ending, Seen, Wanted, ending
from apps.fleet.launcher import Run
from apps.fleet.models import Agent, Desired
from apps.fleet.watch import Watch, age

LAST_OF_ITS_OWN = 128  # exit codes above may tell of a signal


@dataclass(slots=True)
class Look:
    """One agent at one moment."""

    agent: Agent
    watch: Watch
    run: Run
    seen: Seen


def wanted(agent: Agent, now: datetime) -> Wanted:
    return Wanted(
        desired=agent.desired,
        state=agent.state,
        seconds_since_stop=age(agent.stop_requested_at, now),
        seconds_since_launch=age(agent.launched_at, now),
        grace=settings.STOP_GRACE_SECONDS,
    )


def note(look: Look, now: datetime, **fields: object) -> None:
    news = look.watch.changed(fields) or fields
    observe.record_sightings(
        sightings=[Sighting(look.agent.pk, look.agent.epoch, news)], seen=[look.agent.pk], now=now
    )


def ending_of(look: Look) -> Ending:
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
    )
