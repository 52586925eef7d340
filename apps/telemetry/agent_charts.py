"""Charts of single agents, which the telemetry process publishes for as long as somebody looks at them.

A reader asks each time it reads. So what nobody looks at costs nothing, and the snapshot of all agents stays small.
"""

from typing import cast

import msgspec
import redis

from apps.lib.redis import READ_SECONDS, connection, typed_errors
from apps.telemetry.domain.figures import AgentCharts
from apps.telemetry.domain.live import Live
from apps.telemetry.domain.window import WINDOWS

__all__ = ["AgentCharts", "Desk", "key", "read"]

ASKED = "yard:charts-asked"  # a set of "agent:window"
ASKED_SECONDS = 20.0  # for which one question is answered again and again
KEPT_SECONDS = 60
MAX_ASKED = 300  # charts published at once; a console shows 200 views at most

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(AgentCharts).decode


def key(agent: int, window: int) -> str:
    return f"yard:charts:{window}:{agent}"


def read(agent: int, window: int, seconds: float = READ_SECONDS) -> AgentCharts | None:
    """The newest charts of this agent, and a question for newer ones. None until the first question is
    answered, a tick later. Raises RedisUnavailable, after so many `seconds` where Redis hangs."""
    with typed_errors():
        pipeline = connection(read_timeout=seconds, connect_timeout=seconds).pipeline(transaction=False)
        pipeline.sadd(ASKED, f"{agent}:{window}")
        pipeline.expire(ASKED, KEPT_SECONDS)  # while no telemetry process takes them
        pipeline.get(key(agent, window))
        found = cast(bytes | None, pipeline.execute()[-1])
    return decode(found) if found else None


class Desk:
    """Where the telemetry process takes questions and gives answers."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._until: dict[tuple[int, int], float] = {}

    def answer(self, live: Live, now: float, due: set[int]) -> set[int]:
        """Publishes what was asked for: new questions at once, others when their window is due. Says for which
        windows there was something new."""
        fresh = self._take(now)
        wanted = {place for place in self._until if place in fresh or place[1] in due}
        pipeline = self.client.pipeline(transaction=False)
        answered = set()
        for agent, window in wanted:
            charts = live.agent_charts(agent, window, now)
            if charts is not None:
                pipeline.set(key(agent, window), encode(charts), ex=KEPT_SECONDS)
                answered.add(window)
        if answered:
            pipeline.execute()
        return answered

    def _take(self, now: float) -> set[tuple[int, int]]:
        """Notes who asked since the last time; says which of it wasn't asked for before."""
        pipeline = self.client.pipeline()
        pipeline.smembers(ASKED)
        pipeline.delete(ASKED)
        places = {place for place in map(_place, pipeline.execute()[0]) if place is not None}
        self._until = {place: until for place, until in self._until.items() if until > now}
        fresh = places - self._until.keys()
        room = max(0, MAX_ASKED - len(self._until))
        fresh = set(sorted(fresh)[:room])
        self._until |= dict.fromkeys((places & self._until.keys()) | fresh, now + ASKED_SECONDS)
        return fresh


def _place(member: bytes) -> tuple[int, int] | None:
    agent, _, window = member.partition(b":")
    if not agent.isdigit() or not window.isdigit() or int(window) not in WINDOWS:
        return None
    return int(agent), int(window)
