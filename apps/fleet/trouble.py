"""An agent that makes trouble is told of once, and must not keep `runhost` from the others."""

import logging
from collections.abc import Collection

from django.db import DatabaseError, DataError, InterfaceError

from apps.fleet.models import Agent

log = logging.getLogger(__name__)
NOT_WRITABLE = (DataError, ArithmeticError, ValueError, TypeError, RuntimeError)  # a value that no row takes


class Trouble:
    def __init__(self) -> None:
        self.told: set[tuple[int, int]] = set()  # agents and epochs whose trouble is in the log

    def tell(self, agent: Agent, what: str, error: Exception) -> None:
        """Once for each of its epochs. That the database is away is no agent's trouble: raised again."""
        if isinstance(error, (DatabaseError, InterfaceError)) and not isinstance(error, DataError):
            raise error
        key = (agent.pk, agent.epoch)
        level = logging.DEBUG if key in self.told else logging.ERROR
        log.log(level, "%s can't be %s; the others go on", agent.name, what, exc_info=error)
        self.told.add(key)

    def keep_only(self, agents: Collection[int]) -> None:
        """Forget those of other agents, which are not looked at any more."""
        self.told = {key for key in self.told if key[0] in agents}
