"""Who does something: a person, an agent, or the yard itself."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a person may do. Each role may do all that the one below it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Actor:
    """`kind` is "user", "shell", "agent" or "yard"; `name` is shown in the audit trail."""

    kind: str
    name: str
    role: Role

    def __str__(self) -> str:
        return self.name


YARD = Actor("yard", "yard", Role.ADMIN)
