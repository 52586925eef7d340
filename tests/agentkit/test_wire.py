from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import wire
from agentkit.samples import MAX_BYTES, MAX_SAMPLES, OUTCOMES, is_kind, make_sample

PAGE = (Path(__file__).parents[2] / "docs/reference/wire.md").read_text()
GOOD: dict[str, Any] = {"v": 1, "client": "deadbeef", "seq": 1, "samples": [["edit", 1.5, 2, 0, "ok"]]}


def examples(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_it_understands_every_frame_that_the_reference_shows() -> None:
    frames = [wire.decode_frame(example) for example in examples("json frame")]

    assert [len(frame.samples) for frame in frames] == [3, 0]
    assert frames[0].samples[2].task == "task-17"
    assert frames[0].samples[1].memory == 412090368
    assert wire.decode_frame(bytes.fromhex(examples("msgpack frame")[0])) == frames[1]


def test_it_understands_every_reply_that_the_reference_shows() -> None:
    replies = [wire.decode_reply(example) for example in examples("json reply")]

    assert [type(reply) for reply in replies] == [wire.Hello, wire.Ack, wire.Refusal]


def test_the_reference_names_each_error_code() -> None:
    for code in ("bad_frame", "bad_version", "too_large", "unavailable"):
        assert f"| `{code}` |" in PAGE


@pytest.mark.parametrize("text", [True, False])
def test_it_reads_back_what_it_wrote(text: bool) -> None:
    sample = wire.Sample("build", 1.5, 20.0, 3.0, "error", "vcs", 12, "task-1", "é")
    frame = wire.Frame(v=1, client="deadbeef", seq=7, samples=[sample], now="cargo", state="busy", dropped=2)

    message = wire.encode(frame, text=text)

    assert isinstance(message, str if text else bytes)
    assert wire.decode_frame(message) == frame


def test_it_tells_an_absent_status_from_an_empty_one() -> None:
    absent = wire.decode_frame(wire.encode(GOOD))
    empty = wire.decode_frame(wire.encode(GOOD | {"now": ""}))

    assert absent.now is msgspec.UNSET
    assert empty.now == ""


def test_it_ignores_what_a_later_version_may_add() -> None:
    later = GOOD | {"colour": "red", "samples": [["edit", 1, 2, 0, "ok", "", 0, "", "", "new", 5]]}

    assert wire.decode_frame(wire.encode(later)) == wire.decode_frame(
        wire.encode(GOOD | {"samples": [["edit", 1, 2, 0, "ok"]]})
    )


@pytest.mark.parametrize(
    "change",
    [
        {"client": "xyz"},
        {"client": "DEADBEEF"},
        {"client": "deadbeef\n"},
        {"client": "a" * 33},
        {"seq": 0},
        {"seq": "1"},
        {"seq": 2**53},
        {"samples": None},
        {"samples": [["edit", 1, 2, 0, "ok"]] * (MAX_SAMPLES + 1)},
        {"samples": [["edit", 1, 2, 0]]},
        {"samples": [["", 1, 2, 0, "ok"]]},
        {"samples": [["Edit", 1, 2, 0, "ok"]]},
        {"samples": [["edit\n", 1, 2, 0, "ok"]]},
        {"samples": [["e" * 65, 1, 2, 0, "ok"]]},
        {"samples": [["edit", 1, -0.1, 0, "ok"]]},
        {"samples": [["edit", 1, 2, -1, "ok"]]},
        {"samples": [["edit", float("nan"), 2, 0, "ok"]]},
        {"samples": [["edit", 1, float("inf"), 0, "ok"]]},
        {"samples": [["edit", 1, 2, 0, "fine"]]},
        {"samples": [["edit", 1, 2, 0, "ok", "VCS"]]},
        {"samples": [["edit", 1, 2, 0, "ok", "", -1]]},
        {"samples": [["edit", 1, 2, 0, "ok", "", 0, "", "n" * 201]]},
        {"now": "n" * 201},
        {"now": None},
        {"state": "asleep"},
        {"dropped": -1},
    ],
    ids=str,
)
def test_it_refuses_a_frame_that_is_not_well_formed(change: dict[str, Any]) -> None:
    with pytest.raises(wire.WireError) as refusal:
        wire.decode_frame(wire.encode(GOOD | change))

    assert refusal.value.code == "bad_frame"
    assert refusal.value.seq == (
        change["seq"] if isinstance(change.get("seq"), int) else None if "seq" in change else 1
    )


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0])
def test_it_refuses_another_version_and_says_which_it_speaks(version: object) -> None:
    with pytest.raises(wire.WireError) as refusal:
        wire.decode_frame(wire.encode({"v": version, "seq": 4, "anything": "else"}))

    assert (refusal.value.code, refusal.value.seq) == ("bad_version", 4)
    assert '"v": 1' in refusal.value.text


@pytest.mark.parametrize(
    "message", [b"a" * (MAX_BYTES + 1), "é" * (MAX_BYTES // 2 + 1)], ids=["binary", "text"]
)
def test_it_refuses_a_frame_beyond_the_limit_before_it_reads_it(message: bytes | str) -> None:
    with pytest.raises(wire.WireError) as refusal:
        wire.decode_frame(message)

    assert refusal.value.code == "too_large"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
@settings(max_examples=150, deadline=None)
def test_garbage_is_refused_and_nothing_else_happens(message: bytes | str) -> None:
    for decode in (wire.decode_frame, wire.decode_reply):
        with pytest.raises(wire.WireError):
            decode(message)


KINDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.:-", min_size=1, max_size=64)
AMOUNTS = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


@given(
    kind=KINDS,
    end=AMOUNTS,
    ms=AMOUNTS,
    wait_ms=AMOUNTS,
    outcome=st.sampled_from(OUTCOMES),
    wait_kind=st.one_of(st.just(""), KINDS),
    memory=st.integers(0, 2**40),
    task=st.text(max_size=300),
    note=st.text(st.characters(exclude_categories=()), max_size=300),
)
@settings(max_examples=100, deadline=None)
def test_every_sample_that_can_be_made_is_understood(kind: str, **values: Any) -> None:
    made = make_sample(kind, **values)

    frame = wire.decode_frame(wire.encode(GOOD | {"samples": [made]}))

    understood = frame.samples[0]
    assert (understood.kind, understood.end, understood.ms) == (kind, values["end"], values["ms"])
    assert (understood.wait_kind, understood.memory) == (values["wait_kind"], values["memory"])
    assert "\n" not in understood.note


def test_the_largest_frame_of_samples_stays_below_the_limit() -> None:
    note = "\U0001f41d" * 200
    sample = make_sample(
        "k" * 64, end=1e300, ms=1e300, wait_kind="w" * 64, memory=2**60, task=note, note=note
    )

    assert len(wire.encode(GOOD | {"samples": [sample] * MAX_SAMPLES, "now": note})) < MAX_BYTES


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("", {}),
        ("a b", {}),
        ("k" * 65, {}),
        ("edit", {"ms": -1}),
        ("edit", {"ms": float("nan")}),
        ("edit", {"wait_ms": float("inf")}),
        ("edit", {"outcome": "fine"}),
        ("edit", {"wait_kind": "V C S"}),
        ("edit", {"memory": -1}),
    ],
)
def test_it_makes_no_sample_that_the_wire_refuses(kind: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make_sample(kind, **({"end": 1.0, "ms": 1.0} | values))


def test_a_kind_is_a_short_plain_name() -> None:
    assert is_kind("cargo.check:dev_1-a")
    assert not is_kind("é")
