"""How alerts are told: one by one, or as one digest when there are many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from apps.alerts.domain.rules import Severity

LISTED = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One alert as a message tells it. `lasted`: in words, "" while it isn't over."""

    severity: str
    title: str
    subject: str
    value: str
    lasted: str = ""

    @property
    def text(self) -> str:
        return f"{self.title}: {self.subject}, " + (
            f"over after {self.lasted}" if self.lasted else self.value
        )


def title_of(lines: Sequence[Line]) -> str:
    if len(lines) == 1:
        word = "resolved" if lines[0].lasted else lines[0].severity
        return f"[{word}] {lines[0].title}"
    counts = Counter("resolved" if line.lasted else line.severity for line in lines)
    words = ", ".join(f"{counts[word]} {word}" for word in (*reversed(Severity), "resolved") if counts[word])
    return f"{len(lines)} alerts: {words}"


def body_of(lines: Sequence[Line]) -> str:
    shown = [line.text for line in sorted(lines, key=lambda line: -Severity(line.severity).rank)[:LISTED]]
    more = len(lines) - len(shown)
    return "\n".join(shown + ([f"and {more} more"] if more > 0 else []))
