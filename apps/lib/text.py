"""Text that agents wrote, made safe to show and to store."""

import re

# Introducers come as two bytes (ESC and a letter) or as one C1 control; both are live in terminals.
# Every pattern is linear: it may meet a line of a megabyte that was written to hurt.
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
_CONTROL_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
_SHORT_ESCAPE = r"\x1b[ -/]*[0-~]?"
_ESCAPES = re.compile(f"{_STRING}|{_CONTROL_SEQUENCE}|{_SHORT_ESCAPE}")

# Controls but newline, surrogates that no database stores, and marks that reorder or hide text on a page.
_UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)
_BLANKS = re.compile(r"[^\S\n]+")
_SPACE = re.compile(r"\s+")

# A short text is cut from this much raw text per character: escapes are stripped from a bounded piece only.
RAW_PER_CHARACTER = 16


def plain_text(text: str, limit: int | None = None, *, keep_lines: bool = False) -> str:
    """`text` without terminal escapes, control characters and repeated blanks, at most `limit` characters.

    One line, unless `keep_lines`. It isn't escaped for HTML: templates do that.
    """
    if limit is not None:
        text = text[: limit * RAW_PER_CHARACTER + 1024]
    text = _UNPRINTABLE.sub(" ", _ESCAPES.sub("", text.replace("\r\n", "\n")))
    text = "\n".join(_lines(text)) if keep_lines else _SPACE.sub(" ", text)
    text = text.strip()
    if limit is not None and len(text) > limit:
        return text[: limit - 1].rstrip() + "…"
    return text


def _lines(text: str) -> list[str]:
    return [_BLANKS.sub(" ", line).strip() for line in text.split("\n")]


def can_be_stored(text: str) -> bool:
    """False for what no database takes: NUL characters, and halves of characters from bytes that are no UTF-8."""
    return not re.search("[\0\ud800-\udfff]", text)


# As above, but a tab is kept: a log is read with its indentation and its columns.
_UNPRINTABLE_BUT_TAB = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)


def terminal_text(text: str) -> str:
    """What a terminal would have left on the screen of `text`, line by line: without escapes and control characters,
    and of a line that was overwritten after a carriage return its last state. Blanks and tabs stay."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(_UNPRINTABLE_BUT_TAB.sub("", line) for line in lines)
