"""One operation of an agent, measured: the sample that the wire carries, and its limits.

Standard library alone, and little of it: programs that start a hundred at a time import this.
"""

from __future__ import annotations

VERSION = 1
MAX_SAMPLES = 256  # in one frame
MAX_BYTES = 1 << 20  # of one frame
WINDOW = 8  # frames without an acknowledgement
MAX_KIND = 64
MAX_TEXT = 200
OUTCOMES = ("ok", "error", "induced")
STATES = ("busy", "idle", "waiting")

_KIND_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.:-")
_DEFAULTS = ("", 0, "", "")  # wait_kind, memory, task, note

Sample = tuple[str | int | float, ...]


def make_sample(
    kind: str,
    *,
    end: float,
    ms: float,
    wait_ms: float = 0.0,
    outcome: str = "ok",
    wait_kind: str = "",
    memory: int = 0,
    task: str = "",
    note: str = "",
) -> Sample:
    """A sample in wire order, without the trailing items that hold their defaults.

    `end` is in unix seconds; `ms` and `wait_ms` are durations; `memory` is the operation's peak in bytes.
    Raises ValueError for a value that the wire format refuses; texts are made to fit instead.
    """
    if not is_kind(kind):
        raise ValueError(f"A kind has 1 to {MAX_KIND} characters of a-z 0-9 _ . : -, not {kind!r}")
    if wait_kind and not is_kind(wait_kind):
        raise ValueError(
            f"A kind of wait has at most {MAX_KIND} characters of a-z 0-9 _ . : -, not {wait_kind!r}"
        )
    if outcome not in OUTCOMES:
        raise ValueError(f"An outcome is one of {', '.join(OUTCOMES)}, not {outcome!r}")
    for name, value in (("end", end), ("ms", ms), ("wait_ms", wait_ms), ("memory", memory)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} is a number of 0 or more, not {value!r}")
    optional: list[str | int] = [wait_kind, int(memory), one_line(task), one_line(note)]
    while optional and optional[-1] == _DEFAULTS[len(optional) - 1]:
        optional.pop()
    return (kind, float(end), float(ms), float(wait_ms), outcome, *optional)


def is_kind(text: str) -> bool:
    return 0 < len(text) <= MAX_KIND and _KIND_CHARACTERS.issuperset(text)


def one_line(text: str, limit: int = MAX_TEXT) -> str:
    """Text that is safe in a log line and on the wire: file names hold newlines, escapes, broken UTF-8."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short if short.isprintable() else "".join(c if c.isprintable() else "?" for c in short)
