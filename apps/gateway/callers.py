"""Which agent an HTTP request comes from, and how many of its requests are under way."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from apps.fleet.tokens import TokenHolder, token_hash
from apps.gateway.doors import bearer_token, is_foreign
from apps.gateway.finder import AgentFinder
from apps.gateway.frames import WINDOW
from apps.gateway.http import RETRY_SECONDS, Refused, Scope

BELIEVED_SECONDS = 2.0  # so that an agent that posts often isn't looked up each time
MAX_KNOWN = 5_000
MAX_UNDER_WAY = 64  # of all agents: each may hold a few MiB

find_agent = AgentFinder()


class Callers:
    """Shared by the HTTP doors of a process."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[TokenHolder, float]] = {}
        self._under_way: Counter[int] = Counter()

    async def admit(self, scope: Scope) -> TokenHolder:
        """Raises Refused for anything but a POST with the token of a living agent. Nothing else says who it is."""
        if scope["method"] != "POST":
            raise Refused(405, "Only POST is taken here.")
        if is_foreign(scope["headers"], settings.ALLOWED_HOSTS):
            raise Refused(403, "Pages of other sites may not report here.")
        token = bearer_token(scope["headers"])
        if not token:
            raise Refused(
                401, "Send `Authorization: Bearer TOKEN` with the agent's token, as in SWARMYARD_TOKEN."
            )
        holder = await self._holder(token)
        if holder is None:
            raise Refused(401, "No running agent has this token: each start of an agent has a new one.")
        return holder

    @contextmanager
    def at_work(self, holder: TokenHolder) -> Iterator[None]:
        """Raises Refused while this agent has as many requests under way as a socket may have frames, and while there
        are too many in all."""
        if self._under_way[holder.pk] >= WINDOW or self._under_way.total() >= MAX_UNDER_WAY:
            text = "Too many requests are under way: wait for an answer, then send this again."
            raise Refused(429, text, retry_after=1)
        self._under_way[holder.pk] += 1
        try:
            yield
        finally:
            self._under_way[holder.pk] -= 1
            if not self._under_way[holder.pk]:
                del self._under_way[holder.pk]

    async def _holder(self, token: str) -> TokenHolder | None:
        now, place = time.monotonic(), token_hash(token)
        known = self._known.get(place)
        if known is not None and known[1] > now:
            return known[0]
        try:
            holder = await find_agent(token)
        except (DatabaseError, InterfaceError) as error:
            text = "The database is away: keep this and send it again."
            raise Refused(503, text, retry_after=RETRY_SECONDS) from error
        self._known.pop(place, None)
        if holder is not None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[place] = holder, now + BELIEVED_SECONDS
        return holder
