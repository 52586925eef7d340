"""What every parser promises: bounded memory, no exception, the same answer however the output is cut."""

import time
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.fleet.domain.output import PARSERS, Activity, Session, Usage, new_parser
from apps.fleet.domain.output.lines import MAX_LINE_BYTES, LineBuffer
from apps.fleet.domain.output.observation import count, money

STREAMS = Path(__file__).parent / "streams"
STREAM_PARSERS = {
    "claude-code": "claude",
    "codex": "codex",
    "gemini": "gemini",
    "opencode": "opencode",
    "aider": "aider",
}
CLAUDE_TEXT = (
    b'{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"%s"}],'
    b'"usage":{"input_tokens":5,"output_tokens":7}}}\n'
)


RECORDED = [
    pytest.param(parser, path.read_bytes(), id=path.name)
    for tool, parser in STREAM_PARSERS.items()
    for path in sorted(STREAMS.glob(f"{tool}*"))
]


def last(kind, observations):
    return next((each for each in reversed(observations) if isinstance(each, kind)), None)


def events(observations):
    return [each for each in observations if not isinstance(each, Activity)]


@pytest.mark.parametrize(("parser", "output"), RECORDED)
@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_it_says_the_same_however_the_output_is_cut(parser, output, size):
    whole = new_parser(parser).feed(output)
    cut = new_parser(parser)

    said = []
    for start in range(0, len(output), size):
        said += cut.feed(output[start : start + size])

    assert events(said) == events(whole)
    assert last(Activity, said) == last(Activity, whole)


@pytest.mark.parametrize("name", sorted(PARSERS))
@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_no_bytes_make_it_fail(name, pieces):
    parser = new_parser(name)

    for piece in pieces:
        parser.feed(piece)

    assert parser.pending <= 1_600


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
EVENT_TYPES = {
    "claude": ["system", "assistant", "result"],
    "codex": ["thread.started", "item.completed", "turn.completed", "turn.failed", "error"],
    "gemini": ["init", "message", "tool_use", "error", "result"],
    "opencode": ["step_start", "text", "tool_use", "step_finish", "error"],
}
FIELDS = [
    "message",
    "usage",
    "content",
    "item",
    "part",
    "stats",
    "error",
    "modelUsage",
    "tokens",
    "errors",
    "id",
]


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_shape_of_an_event_makes_it_fail(name, data):
    event = data.draw(
        st.dictionaries(
            st.sampled_from(FIELDS),
            JSON
            | st.fixed_dictionaries(
                {},
                optional={
                    "type": st.sampled_from(["text", "tool_use", "agent_message", "file_change", "error"]),
                    "usage": JSON,
                    "content": JSON,
                    "tokens": JSON,
                    "changes": JSON,
                    "state": JSON,
                },
            ),
        )
    )
    event["type"] = data.draw(st.sampled_from(EVENT_TYPES[name]))

    observations = new_parser(name).feed(msgspec.json.encode(event) + b"\n")

    for usage in (each for each in observations if isinstance(each, Usage)):
        assert min(usage.tokens_in, usage.tokens_out, usage.cache_read, usage.cache_creation) >= 0


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_line_without_end_takes_no_more_memory_than_the_limit(name):
    parser = new_parser(name)
    piece = b"x" * 65_536
    tracemalloc.start()

    for _ in range(640):  # 40 MiB
        parser.feed(piece)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MAX_LINE_BYTES
    assert parser.skipped == 1
    assert parser.pending == 0


def test_it_goes_on_after_a_line_that_was_too_long():
    parser = new_parser("claude")

    parser.feed(b'{"type":"assistant","message":{"x":"' + b"y" * MAX_LINE_BYTES)
    parser.feed(b'"}}')
    observations = parser.feed(b"\n" + CLAUDE_TEXT % b"after")

    assert Activity("after") in observations
    assert parser.skipped == 1


def test_a_line_of_exactly_the_limit_is_read():
    buffer = LineBuffer(limit=8)

    assert buffer.feed(b"1234567\n12345678\n123\n") == [b"1234567", b"123"]
    assert buffer.skipped == 1


def test_each_too_long_line_is_counted_once():
    buffer = LineBuffer(limit=4)

    for piece in (b"aaa", b"aaa", b"aaa\nbb", b"\ncccccc", b"c\nd\n"):
        buffer.feed(piece)

    assert buffer.skipped == 2
    assert buffer.pending == 0


def test_pending_says_how_far_to_go_back():
    parser = new_parser("plain")

    parser.feed(b"one\ntwo and a ha")

    assert parser.pending == len("two and a ha")


def test_lines_end_with_lf_cr_or_both():
    assert LineBuffer().feed(b"a\nb\rc\r\n\n\rd\n") == [b"a", b"b", b"c", b"d"]


def test_the_last_line_with_something_on_it_is_the_activity():
    parser = new_parser("plain")

    assert parser.feed(b"compiling a\ncompiling b\n\n  \n") == [Activity("compiling b")]
    assert parser.feed(b"  10%\r  20%\r") == [Activity("20%")]


def test_a_line_of_mere_escapes_is_not_the_activity():
    assert new_parser("plain").feed(b"\x1b[32mall good\n\x1b[0m\n") == [Activity("all good")]


def test_an_activity_that_did_not_change_is_said_once():
    parser = new_parser("plain")

    assert parser.feed(b"waiting\n") == [Activity("waiting")]
    assert parser.feed(b"waiting\nwaiting\n") == []


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_program_that_prints_fast_is_read_fast(name):
    piece = b"a line of some program that never stops printing\n" * 21_000  # 1 MB
    parser = new_parser(name)
    start = time.process_time()

    for _ in range(20):
        parser.feed(piece)

    assert time.process_time() - start < 2.0


def test_broken_utf_8_is_shown_as_what_is_left_of_it():
    assert new_parser("plain").feed(b"caf\xc3\xa9 \xff\xfe ok\n") == [Activity("café �� ok")]


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_warning_between_events_is_activity(name):
    observations = new_parser(name).feed(b"{broken json\n[1,2]\n(node:12) Warning: something old\n---\n")

    assert observations == [Activity("(node:12) Warning: something old")]


def test_json_nested_too_deep_is_not_an_event():
    deep = b'{"type":"result","x":' + b"[" * 100_000 + b"\n"

    assert all(isinstance(each, Activity) for each in new_parser("claude").feed(deep))


@pytest.mark.parametrize("session", ["--help", "", "a b", "x" * 101, "a\n", "../x", 7, None])
def test_a_session_that_is_no_plain_name_is_not_taken(session):
    line = msgspec.json.encode({"type": "thread.started", "thread_id": session})

    assert last(Session, new_parser("codex").feed(line + b"\n")) is None


def test_escapes_in_an_answer_do_not_reach_the_page():
    hostile = rb"\u001b]0;title\u0007\u001b[31mred\u001b[0m \u202eevil\u0000 \ud83d\ude00 <b>"

    assert Activity("red evil 😀 <b>") in new_parser("claude").feed(CLAUDE_TEXT % hostile)


def test_a_long_answer_is_cut_for_the_activity():
    activity = last(Activity, new_parser("claude").feed(CLAUDE_TEXT % (b"word " * 5_000)))

    assert len(activity.text) <= 200
    assert activity.text.endswith("…")


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        (5, 5),
        (5.9, 5),
        (-3, 0),
        (True, 0),
        ("7", 0),
        (None, 0),
        (1e300, 10**15),
        (float("inf"), 0),
        ([], 0),
    ],
)
def test_a_count_from_outside_is_a_sane_number(value, counted):
    assert count(value) == counted


@pytest.mark.parametrize(
    ("value", "price"), [(0.5, 0.5), (-1, 0.0), ("1", None), (float("nan"), None), (True, None)]
)
def test_a_price_from_outside_is_a_sane_number(value, price):
    assert money(value) == price


def test_a_number_beyond_all_floats_is_cut():
    assert count(10**400) == 10**15
    assert money(10**400) == 10**9


def test_costs_that_are_not_known_do_not_count_as_nothing():
    assert (Usage() + Usage()).cost_usd is None
    assert (Usage(cost_usd=0.25) + Usage()).cost_usd == 0.25
    assert (Usage(cost_usd=0.25) + Usage(cost_usd=0.5)).cost_usd == 0.75
