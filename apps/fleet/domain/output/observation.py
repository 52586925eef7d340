"""What a parser noticed in an agent's output."""

import math
from dataclasses import dataclass
from typing import Literal, TypeGuard

State = Literal["busy", "idle", "waiting"]

MAX_COUNT = 10**15
MAX_COST_USD = 10**9


@dataclass(frozen=True, slots=True)
class Status:
    """`waiting` is said only where the tool itself says that it wants input."""

    state: State


@dataclass(frozen=True, slots=True)
class Activity:
    """What the agent does now: one line of plain text, at most 200 characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """The tool's own name for the conversation, safe to pass as an argument to resume it."""

    id: str


@dataclass(frozen=True, slots=True)
class Result:
    """A piece of work ended, as the tool says. `text` is plain, may have lines, at most 2,000 characters."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Running totals of this process, not increments: store the last one.

    The four token counts don't overlap: `tokens_in` was neither read from nor written to a cache, and
    `tokens_out` includes reasoning. `cost_usd` is None where the tool names no price.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    cost_usd: float | None = None

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cache_read + other.cache_read,
            self.cache_creation + other.cache_creation,
            _add_costs(self.cost_usd, other.cost_usd),
        )

    def since(self, before: "Usage") -> "Usage":
        """What came on top of `before`, totals of the same kind."""
        earned = None if self.cost_usd is None else max(self.cost_usd - (before.cost_usd or 0.0), 0.0)
        return Usage(
            max(self.tokens_in - before.tokens_in, 0),
            max(self.tokens_out - before.tokens_out, 0),
            max(self.cache_read - before.cache_read, 0),
            max(self.cache_creation - before.cache_creation, 0),
            earned,
        )


Observation = Status | Activity | Session | Result | Usage


def _add_costs(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def count(value: object) -> int:
    """A token count out of untrusted JSON: 0 for what isn't one."""
    return int(min(max(value, 0), MAX_COUNT)) if _is_number(value) else 0


def money(value: object) -> float | None:
    """A price in US dollars out of untrusted JSON: None for what isn't one."""
    return float(min(max(value, 0), MAX_COST_USD)) if _is_number(value) else None


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
