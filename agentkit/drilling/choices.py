"""Chance that repeats: draws from names and numbers, the same on every machine and version of Python."""

from __future__ import annotations

from agentkit.drilling.edits import language_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED_FILES = 8
STRIDE = 128  # agents of one wave whose own files are disjoint
_MASK = (1 << 64) - 1


class Draw:
    """splitmix64, seeded by FNV-1a over its parts: what `random` makes of a seed differs between versions."""

    def __init__(self, *parts: str | int) -> None:
        state = 0xCBF29CE484222325
        for byte in "\0".join(map(str, parts)).encode(errors="surrogatepass"):
            state = ((state ^ byte) * 0x100000001B3) & _MASK
        self._state = state

    def number(self, below: int) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % below

    def share(self) -> float:
        """From 0 up to, never with, 1."""
        return self.number(1 << 53) / (1 << 53)

    def shuffled(self, items: Sequence[str]) -> list[str]:
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.number(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed


def pools(paths: Sequence[str], *, seed: str, agent: str) -> tuple[list[str], list[str]]:
    """The files that all agents share, and those of this agent alone; code comes before text in both.

    The split depends on the seed and the repository only, so agents agree on it without talking. Agents whose
    names end in different numbers (modulo STRIDE) never own the same file; where files run out, an agent owns
    none. An agent without a name is alone and owns all.
    """
    editable = sorted(path for path in paths if language_of(path))
    code = [path for path in editable if language_of(path) != "text"]
    text = [path for path in editable if language_of(path) == "text"]
    ordered = Draw(seed, "code").shuffled(code) + Draw(seed, "text").shuffled(text)
    shared = ordered[: min(SHARED_FILES, (len(ordered) + 1) // 2)]
    rest = ordered[len(shared) :]
    return shared, rest[place_of(agent) :: STRIDE] if agent else rest


def place_of(agent: str) -> int:
    digits = agent[len(agent.rstrip("0123456789")) :]
    return int(digits[-9:]) % STRIDE if digits.isascii() and digits else Draw(agent).number(STRIDE)
