"""Plain text: nothing that a terminal or a page would act on."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lib.text import plain_text


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;window title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("\x9dtitle\x9cafter", "after"),
        ("\x1b(Bplain\x1b7", "plain"),
        ("\x1b[", ""),
        ("\x1b]never ended", ""),
        ("\x1b]never ended\nnext line", "next line"),
        ("a\x00b\x08c\x7fd", "a b c d"),
        ("left \u202eright\u2066 \u200bhidden\ufeff", "left right hidden"),
        ("bad \ud800 half", "bad half"),
        ("  many \t blanks \n and lines ", "many blanks and lines"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("naïve 日本 😀", "naïve 日本 😀"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
    ],
)
def test_it_keeps_what_can_be_read_and_nothing_else(raw, plain):
    assert plain_text(raw) == plain


def test_it_keeps_lines_where_asked():
    assert plain_text("one  two\r\n\x1b[31mthree\x1b[0m\n\nfour", keep_lines=True) == "one two\nthree\n\nfour"


@given(st.text(alphabet=st.characters(), max_size=80), st.integers(min_value=1, max_value=50))
def test_whatever_comes_in_is_short_and_printable(text, limit):
    plain = plain_text(text, limit)

    assert len(plain) <= limit
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in plain)
    plain.encode()


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b]x", "\x9b1;", "\x1b ", " \n", "\x1bP"])
def test_a_text_made_to_be_slow_is_not(piece):
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()

    plain_text(text)

    assert time.process_time() - start < 2.0
