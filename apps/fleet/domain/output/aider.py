"""Aider: plain lines, with a report of tokens and price after each message."""

import re

from apps.fleet.domain.output.observation import Observation, Status, Usage, count, money
from apps.fleet.domain.output.parser import LineParser, activity, result

_AMOUNT = r"([0-9][0-9.,]*[kM]?)"
_SENT = re.compile(rf"Tokens: {_AMOUNT} sent")
_RECEIVED = re.compile(rf"{_AMOUNT} received\.")
_WRITTEN = re.compile(rf"{_AMOUNT} cache write")
_HIT = re.compile(rf"{_AMOUNT} cache hit")
_SESSION_COST = re.compile(r"\$([0-9][0-9.,]*) session\.")
# Those that it doesn't try again. It exits with 0 all the same.
_GIVES_UP = re.compile(r"litellm\.(Authentication|BadRequest|ContextWindowExceeded|NotFound)Error: ")
# Without a model and a key it offers a sign-in, and with --yes-always it accepts.
_WANTS_SIGN_IN = re.compile(r"Waiting up to \d+ minutes for you to finish in the browser")
_TELLING = (b"Tokens: ", b"Cost: ", b"Waiting ", b"litellm.", b"Use Control-C ")
# Says nothing of the work, and would hide the line before it.
_ADVICE = "Use Control-C to interrupt."
_SCALES = {"k": 1_000, "M": 1_000_000}


class AiderParser(LineParser):
    """Tokens are those of one message and add up (rounded: Aider prints 4.2k).

    The price is the session's so far, and may come on a line of its own.
    """

    def read_line(self, line: bytes) -> list[Observation] | None:
        if not line.startswith(_TELLING):
            return None
        text = line.decode("utf-8", "replace")
        before = self._usage
        if text.startswith("Tokens: "):
            self._usage += _tokens(text)
        if text.startswith(("Tokens: ", "Cost: ")) and (cost := _SESSION_COST.search(text)):
            self._usage = _at_price(self._usage, cost.group(1))
        if self._usage != before:
            return [self._usage]
        if _WANTS_SIGN_IN.match(text):
            return [Status("waiting"), *activity(text)]
        if text.startswith(_ADVICE):
            return []
        if _GIVES_UP.match(text):
            return [result(False, text), *activity(text)]
        return None


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
