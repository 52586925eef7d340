"""Makes autobahn, which Daphne's websockets stand on, cheaper: for each read and each write it dresses up the words of
a debug line in terminal colours before it finds that nobody logs it. That is an eighth of what a frame costs."""

from typing import Any

from autobahn.twisted import websocket as over_twisted
from autobahn.websocket import protocol


def use() -> None:
    for module in (over_twisted, protocol):
        module.hltype = module.hlval = _plain  # type: ignore[attr-defined]


def _plain(value: Any, *_: Any, **__: Any) -> Any:
    """Formatted by the logger, when there is one."""
    return value
