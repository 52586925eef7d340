"""Whose figures they are: an agent, what it belongs to, or the whole yard."""

from collections.abc import Iterator
from typing import NamedTuple

YARD = "yard"


class Labels(NamedTuple):
    """What an agent belongs to, by name; empty: not known, or none."""

    wave: str = ""
    role: str = ""
    host: str = ""
    repository: str = ""

    def subjects(self) -> Iterator[str]:
        """As in `wave:w12`."""
        return (f"{kind}:{name}" for kind, name in zip(self._fields, self, strict=True) if name)

    def or_else(self, before: "Labels") -> "Labels":
        """These, and where one is empty what was known before: hosts don't know repositories."""
        return Labels(*(new or old for new, old in zip(self, before, strict=True)))


KINDS = Labels._fields


def of_agent(pk: int) -> str:
    return f"agent:{pk}"


def agent_in(subject: str) -> int | None:
    """The agent's number, None for other subjects."""
    kind, _, number = subject.partition(":")
    return int(number) if kind == "agent" and number.isdigit() else None
