import pytest

from apps.fleet import logs
from apps.fleet.logs import Chunk


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "segment").write_text("10\n")
    return tmp_path


def write(run_dir, **segments):
    for name, data in segments.items():
        (run_dir / name.replace("_", ".")).write_bytes(data)


def test_nothing_printed_is_an_empty_log(run_dir):
    assert logs.total(run_dir) == 0
    assert logs.read(run_dir, 0) == Chunk(b"", 0, 0)
    assert logs.tail(run_dir, lines=10) == Chunk(b"", 0, 0)
    assert logs.search(run_dir, b"x") == []
    assert list(logs.iter_all(run_dir)) == []


def test_a_run_that_never_was_is_an_empty_log(tmp_path):
    assert logs.total(tmp_path / "gone") == 0
    assert logs.read(tmp_path / "gone", 5) == Chunk(b"", 0, 0)


def test_it_reads_on_from_where_it_stopped(run_dir):
    write(run_dir, out_1=b"0123456789", out_2=b"abc")

    first = logs.read(run_dir, 0, 4)
    second = logs.read(run_dir, first.next_offset, 100)
    third = logs.read(run_dir, second.next_offset, 100)
    last = logs.read(run_dir, third.next_offset, 100)

    assert first == Chunk(b"0123", 0, 4)
    assert second == Chunk(b"456789", 4, 10)
    assert third == Chunk(b"abc", 10, 13)
    assert last == Chunk(b"", 13, 13)


def test_it_tells_what_was_rotated_away(run_dir):
    write(run_dir, out_3=b"0123456789", out_4=b"abc")

    assert logs.total(run_dir) == 33
    assert logs.first(run_dir) == 20
    assert logs.read(run_dir, 5, 4) == Chunk(b"0123", 20, 24, skipped=15)


def test_an_offset_past_the_end_comes_back_to_it(run_dir):
    write(run_dir, out_1=b"abc")

    assert logs.read(run_dir, 99) == Chunk(b"", 3, 3)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-2, Chunk(b"bc", 11, 13)),
        (-5, Chunk(b"89", 8, 10)),
        (-13, Chunk(b"0123456789", 0, 10)),
        (-99, Chunk(b"0123456789", 0, 10)),
    ],
)
def test_a_negative_offset_counts_from_the_end(run_dir, offset, expected):
    write(run_dir, out_1=b"0123456789", out_2=b"abc")

    assert logs.read(run_dir, offset) == expected


def test_a_short_segment_before_another_leaves_a_gap(run_dir):
    write(run_dir, out_1=b"0123", out_2=b"abc")

    assert logs.read(run_dir, 2, 100) == Chunk(b"23", 2, 4)
    assert logs.read(run_dir, 4, 100) == Chunk(b"abc", 10, 13, skipped=6)
    assert b"".join(logs.iter_all(run_dir)) == b"0123abc"


def test_a_segment_that_goes_away_while_it_is_read_is_skipped(run_dir, monkeypatch):
    write(run_dir, out_1=b"0123456789", out_2=b"abcdefghij", out_3=b"xy")
    listed = logs._segments
    calls = []

    def rotate_after_listing(directory):
        segments = listed(directory)
        if not calls:
            (run_dir / "out.1").unlink()
        calls.append(directory)
        return segments

    monkeypatch.setattr(logs, "_segments", rotate_after_listing)

    assert logs.read(run_dir, 0, 100) == Chunk(b"abcdefghij", 10, 20, skipped=10)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(1, b"three\n"), (2, b"two\nthree\n"), (3, b"one\ntwo\nthree\n"), (9, b"one\ntwo\nthree\n"), (0, b"")],
)
def test_the_tail_is_whole_lines(run_dir, lines, expected):
    write(run_dir, out_1=b"one\ntwo\nth", out_2=b"ree\n")

    chunk = logs.tail(run_dir, lines=lines)

    assert chunk == Chunk(expected, 14 - len(expected), 14)


def test_an_unfinished_line_is_a_line_of_the_tail(run_dir):
    write(run_dir, out_1=b"one\ntwo")

    assert logs.tail(run_dir, lines=1).data == b"two"


def test_the_tail_is_bounded_in_bytes(run_dir):
    write(run_dir, out_1=b"0123456789", out_2=b"abcdefghij", out_3=b"xy")

    assert logs.tail(run_dir, limit=5) == Chunk(b"hijxy", 17, 22)
    assert logs.tail(run_dir, lines=1, limit=5).data == b"hijxy"


def test_it_finds_lines_newest_first(run_dir):
    (run_dir / "segment").write_text("1000\n")
    write(run_dir, out_1=b"error: a\nfine\nerror: b error\n", out_2=b"last error")

    matches = logs.search(run_dir, b"error")

    assert [match.line for match in matches] == [b"last error", b"error: b error", b"error: a"]
    assert [match.offset for match in matches] == [1000, 14, 0]


def test_it_finds_a_line_across_two_segments(run_dir):
    write(run_dir, out_1=b"x\nsome er", out_2=b"ror here\ny\n")
    (run_dir / "segment").write_text("9\n")

    assert logs.search(run_dir, b"error") == [logs.Match(2, b"some error here")]


def test_a_search_is_bounded(run_dir):
    (run_dir / "segment").write_text("1000000\n")
    write(run_dir, out_1=b"error\n" * 1000)

    assert len(logs.search(run_dir, b"error", limit=7)) == 7
    assert logs.search(run_dir, b"") == []
    assert logs.search(run_dir, b"a\nb") == []


def test_a_search_cuts_long_lines_around_the_needle(run_dir):
    (run_dir / "segment").write_text("10000000\n")
    write(run_dir, out_1=b"a" * 3_000_000 + b"needle" + b"b" * 3_000_000)

    [match] = logs.search(run_dir, b"needle")

    assert b"needle" in match.line
    assert len(match.line) <= logs.LINE_LIMIT
    assert 0 < match.offset <= 3_000_000


def test_many_matches_in_one_long_line_are_bounded(run_dir):
    (run_dir / "segment").write_text("10000000\n")
    write(run_dir, out_1=b"needle" * 500_000)

    matches = logs.search(run_dir, b"needle", limit=5)

    assert len(matches) == 5
    assert all(len(match.line) <= logs.LINE_LIMIT for match in matches)


def test_a_foreign_file_is_no_segment(run_dir):
    write(run_dir, out_1=b"abc")
    (run_dir / "out.bak").write_bytes(b"x")
    (run_dir / "out.").write_bytes(b"x")

    assert logs.total(run_dir) == 3
