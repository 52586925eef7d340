"""One light look at a wave's members: a wave may have thousands, and is looked at each second."""

from django.db.models import BooleanField, ExpressionWrapper, Q

from apps.fleet.domain.outcome import ASKED_TO_END
from apps.fleet.models import Desired, State
from apps.waves.domain.stepping import Place, fell_at_once
from apps.waves.models import Wave


def places_of(wave: Wave) -> list[Place]:
    """All members in their order, with nothing but what decisions need."""
    fallen = fallen_at_once(wave)
    rows = wave.members.order_by("number").annotate(
        seen=is_set("agent__first_seen_at"), returning=is_set("agent__restart_at")
    )
    return [
        Place(
            pk=pk,
            step=step,
            state=state,
            released=desired != Desired.HELD,
            seen=seen,
            returning=returning,
            asked_to_end=desired in ASKED_TO_END,
            fell_at_once=pk in fallen,
        )
        for pk, step, state, desired, seen, returning in rows.values_list(
            "agent_id", "step", "agent__state", "agent__desired", "seen", "returning"
        )
    ]


def is_set(field: str) -> ExpressionWrapper:
    """Whether a moment is known: cheaper to read, thousands of times, than the moment itself."""
    return ExpressionWrapper(Q((f"{field}__isnull", False)), output_field=BooleanField())


def fallen_at_once(wave: Wave) -> set[int]:
    rows = wave.members.order_by().filter(agent__state__in=(State.FAILED, State.LOST))
    moments = rows.values_list("agent_id", "agent__first_seen_at", "agent__ended_at")
    return {
        pk for pk, seen, ended in moments if seen and ended and fell_at_once((ended - seen).total_seconds())
    }
