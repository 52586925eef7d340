"""An agent's output as its page shows it. The files are those that a launcher writes."""

from pathlib import Path

import pytest

from apps.console.agents import log
from apps.fleet.models import State
from apps.fleet.places import run_dir
from tests.factories import make_agent

TAIL = log.TAIL


def write(directory: Path, data: bytes, *, segment: int = 10_000_000) -> Path:
    """Segments as the launcher leaves them: at most the last two."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "segment").write_text(str(segment))
    pieces = [data[start : start + segment] for start in range(0, len(data), segment)] or [b""]
    for number, part in list(enumerate(pieces, start=1))[-2:]:
        (directory / f"out.{number}").write_bytes(part)
    return directory


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %06d\n" % number for number in range(first, last))


def test_it_shows_the_end_from_the_start_of_a_line(tmp_path):
    place = write(tmp_path / "run", lines(0, 20_000))

    piece = log.newest(place)

    assert piece.text.startswith("line ")
    assert piece.text.endswith("line 019999\n")
    assert len(piece.text) <= TAIL
    assert piece.end == 20_000 * 12
    assert piece.start == piece.end - len(piece.text)


def test_it_follows_without_a_gap_and_without_saying_anything_twice(tmp_path):
    place = write(tmp_path / "run", lines(0, 100))
    piece = log.newest(place)
    write(place, lines(0, 150))

    more = log.after(place, piece.end)

    assert more.text.encode() == lines(100, 150)
    assert log.after(place, more.end).text == ""


def test_it_shows_a_line_that_isnt_ended_yet_apart(tmp_path):
    place = write(tmp_path / "run", b"one\nContinue? [y/N] ")

    piece = log.newest(place)

    assert (piece.text, piece.partial) == ("one\n", "Continue? [y/N] ")
    assert log.after(place, piece.end).partial == "Continue? [y/N] "
    write(place, b"one\nContinue? [y/N] y\n")
    assert log.after(place, piece.end).text == "Continue? [y/N] y\n"


def test_it_goes_on_through_a_line_without_an_end(tmp_path):
    place = write(tmp_path / "run", b"x" * (3 * TAIL))

    piece = log.after(place, 0)

    assert piece.end == TAIL
    assert len(piece.text) == TAIL


def test_it_loads_what_is_earlier_up_to_the_oldest_that_is_kept(tmp_path):
    place = write(tmp_path / "run", lines(0, 30_000), segment=120_000)
    piece = log.newest(place)
    texts = [piece.text]
    while piece.start > piece.first:
        piece = log.before(place, piece.start)
        texts.insert(0, piece.text)

    assert "".join(texts).encode() == lines(10_000, 30_000)
    assert piece.start == piece.first == 120_000


def test_it_says_how_much_is_gone(tmp_path):
    place = write(tmp_path / "run", lines(0, 30_000), segment=120_000)

    piece = log.after(place, 0)

    assert piece.skipped == 120_000
    assert piece.text.startswith("line 010000\n")


def test_it_strips_what_terminals_obey_and_keeps_columns(tmp_path):
    place = write(
        tmp_path / "run",
        b"\x1b[1;31mred\x1b[0m\ta    b\n\x1b]8;;http://x\x07link\x1b]8;;\x07\n 10 %\r 55 %\r100 %\n",
    )

    assert log.newest(place).text == "red\ta    b\nlink\n100 %\n"


def test_it_finds_lines_the_newest_last(tmp_path):
    place = write(tmp_path / "run", lines(0, 50) + b"a \x1b[31mwarning\x1b[0m here\nline end\n")

    found = log.matches(place, "warning")

    assert [match["line"] for match in found] == ["a warning here"]
    assert [match["line"] for match in log.matches(place, "a warning h")] == ["a warning here"]
    assert log.matches(place, "  ") == []
    assert [match["line"] for match in log.matches(place, "line 00000")][:2] == ["line 000000", "line 000001"]


def test_it_has_nothing_to_show_before_the_start(tmp_path):
    piece = log.newest(tmp_path / "nothing")

    assert (piece.text, piece.start, piece.end) == ("", 0, 0)


@pytest.mark.django_db
def test_it_serves_the_output_of_the_start_that_is_asked_for(operator):
    agent = make_agent(epoch=2, state=State.FAILED)
    write(run_dir(agent, 1), b"first start\n")
    write(run_dir(agent, 2), b"second start\n")

    page = operator.get(f"/agents/{agent.pk}/log/").json()
    first = operator.get(f"/agents/{agent.pk}/log/?start=1").json()
    after = operator.get(f"/agents/{agent.pk}/log/?after=6").json()

    assert page["text"] == "second start\n"
    assert first["text"] == "first start\n"
    assert (page["live"], page["epoch"]) == (False, 2)
    assert after["text"].endswith("start\n")
    assert "start?start=1" not in operator.get(f"/agents/{agent.pk}/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["after=x", "before=-1", "after=9999999999999999999"])
def test_it_refuses_offsets_that_are_none(operator, query):
    agent = make_agent()

    assert operator.get(f"/agents/{agent.pk}/log/?{query}").status_code == 404


@pytest.mark.django_db
def test_it_downloads_all_that_is_kept_byte_for_byte(operator):
    agent = make_agent("w1/agent-01")
    write(run_dir(agent), b"\x1b[31mraw\x1b[0m\n")

    answer = operator.get(f"/agents/{agent.pk}/log/download/")

    assert answer.getvalue() == b"\x1b[31mraw\x1b[0m\n"
    assert answer["Content-Disposition"] == 'attachment; filename="w1-agent-01-1.log"'
