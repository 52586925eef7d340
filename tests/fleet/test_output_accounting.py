"""Tokens, prices and results in cases that no recorded run has, built to the shapes that tools document."""

import msgspec
import pytest

from apps.fleet.domain.output import Activity, Result, Status, Usage, new_parser


def feed(parser, *events):
    return parser.feed(b"".join(msgspec.json.encode(event) + b"\n" for event in events))


def last(kind, observations):
    return next((each for each in reversed(observations) if isinstance(each, kind)), None)


def claude_message(id, tokens_in, tokens_out, **keys):
    usage = {"input_tokens": tokens_in, "output_tokens": tokens_out, "cache_read_input_tokens": 10}
    return {"type": "assistant", "message": {"id": id, "content": [], "usage": usage}, **keys}


def claude_result(**keys):
    return {"type": "result", "subtype": "success", "is_error": False, "result": "ok", **keys}


def test_claude_code_repeats_a_messages_usage_on_each_of_its_lines():
    observations = feed(
        new_parser("claude"),
        claude_message("m1", 100, 1),
        claude_message("m1", 100, 30),
        claude_message("m2", 50, 2),
    )

    assert last(Usage, observations) == Usage(150, 32, 20)


def test_messages_of_a_subagent_interleave():
    observations = feed(
        new_parser("claude"),
        claude_message("m1", 100, 1),
        claude_message("s1", 40, 1, parent_tool_use_id="toolu_1"),
        claude_message("m1", 100, 20),
        claude_message("s1", 40, 9, parent_tool_use_id="toolu_1"),
    )

    assert last(Usage, observations) == Usage(140, 29, 20)


def test_a_thousand_messages_are_counted_in_bounded_memory():
    parser = new_parser("claude")

    observations = feed(parser, *(claude_message(f"m{number}", 10, 1) for number in range(1_000)))

    assert last(Usage, observations) == Usage(10_000, 1_000, 10_000)
    assert len(parser._messages) <= 64


def test_an_older_claude_code_without_model_usage_has_the_totals_in_usage():
    usage = {"input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": 2}

    observations = feed(
        new_parser("claude"), claude_message("m1", 5, 1), claude_result(usage=usage, total_cost_usd=0.5)
    )

    assert last(Usage, observations) == Usage(7, 3, 0, 2, 0.5)


def test_a_result_without_any_usage_keeps_what_was_counted():
    observations = feed(new_parser("claude"), claude_message("m1", 5, 1), claude_result())

    assert last(Usage, observations) == Usage(5, 1, 10)


def test_work_after_a_result_adds_to_its_totals():
    models = {"a": {"inputTokens": 100, "outputTokens": 10, "cacheReadInputTokens": 0}}

    observations = feed(
        new_parser("claude"),
        claude_message("m1", 90, 1),
        claude_result(modelUsage=models, total_cost_usd=1.0),
        claude_message("m2", 5, 1),
    )

    assert last(Usage, observations) == Usage(105, 11, 10, 0, 1.0)
    assert last(Status, observations) == Status("busy")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"subtype": "error_max_turns"}, "error max turns"),
        ({"subtype": "error_during_execution", "errors": ["one", "two"]}, "one\ntwo"),
        ({"subtype": "success", "is_error": True, "result": "Prompt is too long"}, "Prompt is too long"),
    ],
)
def test_claude_code_fails_in_several_ways(event, text):
    observations = feed(new_parser("claude"), {"type": "result", **event})

    assert last(Result, observations) == Result(False, text)


def test_codex_gives_the_threads_totals_with_each_turn():
    def turn(sent, cached, received):
        usage = {"input_tokens": sent, "cached_input_tokens": cached, "output_tokens": received}
        return {"type": "turn.completed", "usage": usage}

    observations = feed(new_parser("codex"), turn(100, 20, 10), {"type": "turn.started"}, turn(250, 70, 25))

    assert last(Usage, observations) == Usage(180, 25, 70)


def test_codex_that_asks_is_waiting():
    asked = {"type": "request_user_input", "id": "t", "call_id": "c", "questions": []}

    assert last(Status, feed(new_parser("codex"), {"type": "turn.started"}, asked)) == Status("waiting")


def test_codex_names_the_files_that_it_changes():
    changes = [{"path": "a.py", "kind": "add"}, {"path": "b.py", "kind": "update"}]
    item = {"id": "i", "type": "file_change", "changes": changes, "status": "completed"}

    assert Activity("Edit a.py, b.py") in feed(new_parser("codex"), {"type": "item.completed", "item": item})


def test_opencode_goes_on_after_a_step_that_ends_with_tool_calls():
    step = {"type": "step_finish", "part": {"reason": "tool-calls", "tokens": {"input": 1, "output": 2}}}

    assert last(Result, feed(new_parser("opencode"), step)) is None


def test_opencode_that_ran_out_of_room_has_not_succeeded():
    step = {"type": "step_finish", "part": {"reason": "length", "tokens": {"input": 1, "output": 2}}}

    assert last(Result, feed(new_parser("opencode"), step)) == Result(False, "")


def test_gemini_that_fails_says_why():
    event = {
        "type": "result",
        "status": "error",
        "error": {"type": "FatalTurnLimitedError", "message": "Too many turns"},
    }

    assert last(Result, feed(new_parser("gemini"), event)) == Result(False, "Too many turns")


@pytest.mark.parametrize(
    ("lines", "totals"),
    [
        ("Tokens: 4.2k sent, 120 received.", Usage(4_200, 120)),
        (
            "Tokens: 4.2k sent, 120 received. Cost: $0.01 message, $0.02 session.",
            Usage(4_200, 120, 0, 0, 0.02),
        ),
        (
            "Tokens: 12k sent, 3.1k cache write, 2.0k cache hit, 1.1k received.\n"
            "Cost: $0.01 message, $1.25 session.",
            Usage(6_900, 1_100, 2_000, 3_100, 1.25),
        ),
        (
            "Tokens: 1.0k sent, 10 received. Cost: $0.10 message, $0.10 session.\n"
            "Tokens: 2.0k sent, 20 received. Cost: $0.20 message, $0.30 session.",
            Usage(3_000, 30, 0, 0, 0.30),
        ),
        (
            "Tokens: 1.5M sent, 2 received. Cost: $1,234.50 message, $1,234.50 session.",
            Usage(1_500_000, 2, 0, 0, 1234.5),
        ),
    ],
)
def test_aider_reports_tokens_by_message_and_the_price_by_session(lines, totals):
    assert last(Usage, new_parser("aider").feed(lines.encode() + b"\n")) == totals


def test_aider_in_the_middle_of_a_line_is_not_a_report():
    parser = new_parser("aider")

    assert (
        last(Usage, parser.feed(b"It prints: Tokens: 9k sent, 1 received. Cost: $5 message, $5 session.\n"))
        is None
    )


def test_aider_that_tries_again_has_not_failed():
    lines = b"litellm.RateLimitError: slow down\nRetrying in 0.2 seconds...\n"

    assert last(Result, new_parser("aider").feed(lines)) is None


@pytest.mark.parametrize("name", ["claude", "opencode", "aider"])
def test_a_reader_that_comes_back_goes_on_from_what_was_stored(name):
    stored = Usage(1_000, 100, 10, 1, 2.0)
    part = {"reason": "stop", "tokens": {"input": 5, "output": 1, "cache": {"read": 10}}}
    lines = {
        "claude": msgspec.json.encode(claude_message("m9", 5, 1)),
        "opencode": msgspec.json.encode({"type": "step_finish", "part": part}),
        "aider": b"Tokens: 15 sent, 10 cache hit, 1 received.",
    }

    usage = last(Usage, new_parser(name, stored).feed(lines[name] + b"\n"))

    assert usage == Usage(1_005, 101, 20, 1, 2.0)
