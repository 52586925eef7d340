"""What agents used up: tokens, and what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Spending:
    """The four counts of tokens don't overlap: `tokens_in` was neither read from nor written to a cache. None: nobody
    told of it, which isn't zero."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None
    cost_usd: float | None = None

    @classmethod
    def of(cls, counts: Iterable[int | None], cost_usd: float | None) -> "Spending":
        """From counts in the order of the fields."""
        tokens_in, tokens_out, cache_read, cache_creation = counts
        return cls(tokens_in, tokens_out, cache_read, cache_creation, cost_usd)

    def __add__(self, other: "Spending") -> "Spending":
        return Spending.of(map(_sum, self.counts, other.counts), _sum(self.cost_usd, other.cost_usd))

    @property
    def counts(self) -> tuple[int | None, ...]:
        return self.tokens_in, self.tokens_out, self.cache_read, self.cache_creation

    @property
    def tokens(self) -> int | None:
        """All of them."""
        known = [count for count in self.counts if count is not None]
        return sum(known) if known else None

    @property
    def fed(self) -> int | None:
        """Input that no cache had."""
        return _sum(self.tokens_in, self.cache_creation)

    @property
    def is_known(self) -> bool:
        return self.cost_usd is not None or self.tokens is not None


NOTHING_TOLD = Spending()


def one_truth(measured: Spending, printed: Spending) -> Spending:
    """Of one agent, from what it measured (OTLP) and what it printed. Both tell of the same, so they are never added.
    Either may miss some: a measure what came after its last export, the print a start that was ended before its
    result. So the higher one counts, of tokens as a whole and of cost."""
    tokens = measured if (measured.tokens or 0) >= (printed.tokens or 0) else printed
    costs = [cost for cost in (measured.cost_usd, printed.cost_usd) if cost is not None]
    return Spending.of(tokens.counts, max(costs, default=None))


def together(all_of_them: Iterable[Spending]) -> Spending:
    return sum(all_of_them, NOTHING_TOLD)


def _sum(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other
