"""Command lines, read in the small: argparse would cost a fast program as much as the rest of its start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


class Usage(Exception):
    """Wrong usage; the text says what is right."""


class Arguments:
    """`options` by name without dashes, `words` in order, and the `command` behind `--`."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.words: list[str] = []
        self.command: list[str] = []


def read(argv: Sequence[str], known: Mapping[str, Callable[[str], Any]]) -> Arguments:
    """Each option takes one value, `--name VALUE` or `--name=VALUE`, which its reader converts."""
    found = Arguments()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found.command = rest
            break
        if not word.startswith("-") or word == "-":
            found.words.append(word)
            continue
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in known:
            raise Usage(f"There is no option {word}")
        if not has_value:
            if not rest:
                raise Usage(f"--{name} needs a value")
            value = rest.pop(0)
        found.options[name] = _convert(name, value, known[name])
    return found


def _convert(name: str, value: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise Usage(f"--{name} {value}: {error}") from error


def count(text: str) -> int:
    """A whole number of 0 or more."""
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise ValueError("this is a whole number of 0 or more")
    return int(text)


def amount(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise ValueError("this is a number of 0 or more")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = amount(text)
    if value > 1:
        raise ValueError("this is a number from 0 to 1")
    return value
