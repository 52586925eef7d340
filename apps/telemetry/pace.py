"""How fresh figures are: quick while somebody looks at them, seconds late while nobody does.

Most of what telemetry costs goes with messages, not with what they hold. So the web process says that somebody looks,
the gateway passes on to agents how long they may keep samples back, and the telemetry process counts as often.
"""

import asyncio
import logging

from apps.lib.redis import RedisUnavailable, async_connection, connection, typed_errors

log = logging.getLogger(__name__)

WATCHED = "yard:watched"
LOOK_SECONDS = 1.0
KEPT_MS = 5_000  # after the last word of a web process
QUICK, CALM = 0.25, 2.0  # seconds; figures end that much earlier, which must be less than OPEN_SECONDS
FOLLOWING_SECONDS = CALM + 2 * LOOK_SECONDS  # until all agents have taken up another pace


def say_watched(read_timeout: float) -> None:
    """Somebody looks at live figures; to be said again each second or two. Nobody hears it while Redis is away."""
    try:
        with typed_errors():
            connection(read_timeout=read_timeout).set(WATCHED, b"1", px=KEPT_MS)
    except RedisUnavailable:
        pass


def pace() -> float:
    """Seconds that figures may be late. Raises RedisUnavailable."""
    with typed_errors():
        return pace_of(connection().exists(WATCHED))


def pace_of(watched: object) -> float:
    return QUICK if watched else CALM


class Pace:
    """The same for an event loop."""

    def __init__(self) -> None:
        self.seconds = QUICK

    async def follow(self) -> None:
        """Until it is cancelled. While Redis is away, the pace stays what it was."""
        client = async_connection()
        try:
            while True:
                try:
                    with typed_errors():
                        self.seconds = pace_of(await client.exists(WATCHED))
                except RedisUnavailable as error:
                    log.debug("who looks can't be told: %s", error)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await client.aclose()
