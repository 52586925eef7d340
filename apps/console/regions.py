"""Live regions: one function renders a region, and the page, its refresh and the websocket push all call it.

A region knows nothing of who looks at it beyond the role: what is rendered for one viewer serves all who ask the same.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.safestring import SafeString, mark_safe

from apps.console.moment import Moment
from apps.events.domain.actor import Role

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600, "24h": 86_400}
DEFAULT_WINDOW = "5m"
WINDOW_WORDS = {"1m": "1 min", "5m": "5 min", "1h": "1 h", "24h": "24 h"}
COUNTS = "counts"  # the topic of hints that operations were counted, and no more than that


def of(pattern: str, default: str = "") -> Callable[[str], str]:
    """Cleans a parameter: what doesn't match or is the default becomes empty, so that equal views are one key."""
    whole = re.compile(pattern)
    return lambda text: text if whole.fullmatch(text) and text != default else ""


PARAMETERS: dict[str, Callable[[str], str]] = {
    "window": of("|".join(WINDOWS), DEFAULT_WINDOW),
    "by": of("role|host|repository"),
    "at": of(r"[a-z]{1,20}"),
    "state": of(r"[a-z]{1,20}", "all"),
    "sort": of(r"[a-z0-9]{1,20}", "active"),
    "wave": of(r"[\w.-]{1,40}"),
    "agent": of(r"[0-9]{1,18}"),
    "mode": of(r"[a-z]{1,20}"),
    "repository": of(r"[\w.-]{1,100}"),
    "host": of(r"[\w.-]{1,100}"),
    "kind": of(r"[\w.]{1,60}"),
    "actor": of(r".{1,150}"),
    "pk": of(r"[0-9]{1,18}"),
    "page": of(r"[0-9]{1,6}", "1"),
    "q": lambda text: " ".join(text.split())[:60],
}


@dataclass(frozen=True, slots=True)
class View:
    """What a region is asked to show. It is the key under which the region is rendered once for everybody."""

    region: str
    role: Role
    query: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return dict(self.query).get(name, "")

    @property
    def window_word(self) -> str:
        return self.get("window") or DEFAULT_WINDOW

    @property
    def window(self) -> int:
        return WINDOWS[self.window_word]

    @property
    def page(self) -> int:
        return max(1, int(self.get("page") or 1))

    def keep(self, *names: str) -> QueryDict:
        """The part of the address that links inside the region keep, beside their own parameter."""
        kept = QueryDict(mutable=True)
        kept.update({name: self.get(name) for name in names if self.get(name)})
        return kept

    @property
    def acts(self) -> bool:
        """Whether its reader may act, and so is shown the buttons."""
        return self.role >= Role.OPERATOR

    @property
    def address(self) -> str:
        """How a page names this view to the websocket and to `/live/`."""
        return f"{self.region}?{urlencode(self.query)}" if self.query else self.region

    @property
    def attributes(self) -> SafeString:
        """What the outermost element of a region carries."""
        address = self.address.replace("&", "&amp;")
        return mark_safe(f'id="{self.region}" data-region="{address}"')  # noqa: S308 - urlencoded


@dataclass(eq=False)
class Fragment:
    """A rendered region, itself and no other that looks alike. `parts`: elements in it, by id, that may be sent alone
    while `shape` (all the rest) stays."""

    shape: Hashable
    assemble: Callable[[], str]
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def simple(cls, html: str) -> Self:
        return cls(html, lambda: html)

    @cached_property
    def html(self) -> SafeString:
        return mark_safe(self.assemble())  # noqa: S308 - rendered by templates

    def changes_since(self, old: "Fragment | None") -> list[str]:
        """The elements to send to a page that shows `old`."""
        if old is None or self.shape != old.shape:
            return [self.html]
        return [html for name, html in self.parts.items() if old.parts.get(name) != html]


@dataclass(frozen=True, slots=True)
class Region:
    """`topics`: hints after which it is rendered again before the next tick."""

    name: str
    render: Callable[[View, Moment], Fragment]
    parameters: tuple[str, ...] = ()
    topics: frozenset[str] = frozenset()

    def view(self, query: Mapping[str, str], role: Role) -> View:
        cleaned = ((name, PARAMETERS[name](query.get(name, ""))) for name in self.parameters)
        return View(self.name, role, tuple((name, text) for name, text in cleaned if text))

    def is_stale_by(self, topic: str, pk: int, view: View) -> bool:
        return topic in self.topics and (topic != "telemetry" or pk == view.window)
