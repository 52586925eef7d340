"""Whose token it is, asked of the database for many sockets at once: each looks again every two seconds."""

import asyncio

from channels.db import database_sync_to_async

from apps.fleet.tokens import TokenHolder, agents_for_tokens

find_agents = database_sync_to_async(agents_for_tokens)


class AgentFinder:
    """One look-up at a time; who asks meanwhile is in the next one. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[TokenHolder | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, token: str) -> TokenHolder | None:
        """None: of no living agent. Raises what Django raises when the database is away."""
        outcome = self._waiting.get(token)
        if outcome is None:
            outcome = self._waiting[token] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(outcome)  # one of those that ask may go away

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            try:
                found = await find_agents(list(asked))
            except Exception as error:  # whatever it is, the sockets wait for an answer
                for outcome in asked.values():
                    outcome.set_exception(error)
                    outcome.exception()  # seen, should nobody wait for it any more
                continue
            for token, outcome in asked.items():
                outcome.set_result(found.get(token))
