"""Aider: plain lines, with a report of tokens and price after each message."""

import re

from apps.fleet.domain.output.observation import Observation, Usage, count, money
from apps.fleet.domain.output.parser import LineParser, activity

_AMOUNT = r"([0-9][0-9.,]*[kM]?)"
_SENT = re.compile(rf"Tokens: {_AMOUNT} sent")
_RECEIVED = re.compile(rf"{_AMOUNT} received\.")
_WRITTEN = re.compile(rf"{_AMOUNT} cache write")
_HIT = re.compile(rf"{_AMOUNT} cache hit")
_SESSION_COST = re.compile(r"\$([0-9][0-9.,]*) session\.")
_SCALES = {"k": 1_000, "M": 1_000_000}


class AiderParser(LineParser):
    """Tokens are those of one message and add up (rounded: Aider prints 4.2k).

    The price is the session's so far, and may come on a line of its own.
    """

    def read_line(self, line: bytes) -> list[Observation]:
        text = line.decode("utf-8", "replace")
        before = self._usage
        if text.startswith("Tokens: "):
            self._usage += _tokens(text)
        if (cost := _SESSION_COST.search(text)) and text.startswith(("Tokens: ", "Cost: ")):
            self._usage = _at_price(self._usage, cost.group(1))
        if self._usage != before:
            return [self._usage]
        return activity(text)


def _tokens(text: str) -> Usage:
    hit, written = _amount(_HIT, text), _amount(_WRITTEN, text)
    fresh = max(_amount(_SENT, text) - hit - written, 0)
    return Usage(fresh, _amount(_RECEIVED, text), hit, written)


def _amount(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    if not found:
        return 0
    digits = found.group(1).replace(",", "")
    return count(_number(digits.rstrip("kM")) * _SCALES.get(digits[-1], 1))


def _number(digits: str) -> float:
    try:
        return float(digits)
    except ValueError:
        return 0.0


def _at_price(usage: Usage, dollars: str) -> Usage:
    price = money(_number(dollars.replace(",", "")))
    return Usage(usage.tokens_in, usage.tokens_out, usage.cache_read, usage.cache_creation, price)
