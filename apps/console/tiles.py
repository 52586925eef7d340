"""A number with its unit, and what it is compared with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    """`href`: the page that explains it, empty where this is that page. `tone`: "bad", "high", "note-bad" or empty.
    `means`: its definition, for who asks."""

    title: str
    href: str
    value: str
    unit: str
    note: str
    tone: str = ""
    means: str = ""
