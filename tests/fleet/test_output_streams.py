"""What is read out of streams that the real tools printed. streams/README.md says how they were recorded."""

from pathlib import Path

import pytest

from apps.fleet.domain.output import Activity, Result, Session, Status, Usage, new_parser

STREAMS = Path(__file__).parent / "streams"
ANSWER = "Done: hello.txt has one more line."
REQUEST = "I will add a line and commit it."


def read(parser: str, file: str) -> list:
    return new_parser(parser).feed((STREAMS / file).read_bytes())


def last(kind, observations):
    return next((each for each in reversed(observations) if isinstance(each, kind)), None)


@pytest.mark.parametrize(
    ("parser", "file", "session"),
    [
        ("claude", "claude-code.jsonl", "323a9fc1-b5a4-4741-9db9-cf96be61bcf6"),
        ("codex", "codex.jsonl", "01a1fd1e-ac3b-76d1-b26a-4b6970e7304b"),
        ("gemini", "gemini.jsonl", "ca09a8f5-a771-421e-84c5-2c2d3b870ed5"),
        ("opencode", "opencode.jsonl", "ses_e02e12eafffeFm9zYnZiUvAA4x"),
    ],
)
def test_it_tells_a_piece_of_work_from_start_to_end(parser, file, session):
    observations = read(parser, file)

    assert observations[0] == Session(session)
    assert observations[1] == Status("busy")
    assert Activity(REQUEST) in observations
    assert any(isinstance(each, Activity) and "git commit" in each.text for each in observations)
    assert observations[-2:] == [Result(True, ANSWER), Status("idle")]


@pytest.mark.parametrize(
    ("parser", "file", "totals"),
    [
        # The run's three models calls, of which the result's own `usage` leaves out the one on the side.
        ("claude", "claude-code.jsonl", Usage(3_000, 150, 900, 600, 0.02295)),
        ("codex", "codex.jsonl", Usage(2_000, 160, 400)),
        # Three calls of 15 thinking tokens each, which `output_tokens` leaves out.
        ("gemini", "gemini.jsonl", Usage(2_400, 165, 300)),
        ("opencode", "opencode.jsonl", Usage(2_000, 240, 1_000, 0, 0.0099)),
        ("aider", "aider.txt", Usage(1_500, 120, 0, 0, 0.0043)),
    ],
)
def test_it_counts_what_the_model_was_asked_to_bill(parser, file, totals):
    assert last(Usage, read(parser, file)) == totals


def test_claude_codes_totals_never_fall_on_the_way():
    sent = [each.tokens_in for each in read("claude", "claude-code.jsonl") if isinstance(each, Usage)]

    assert sent == [1_000, 2_000, 3_000]


@pytest.mark.parametrize(
    ("parser", "file", "said"),
    [
        ("claude", "claude-code-signed-out.jsonl", "Not logged in · Please run /login"),
        ("codex", "codex-denied.jsonl", "unexpected status 401 Unauthorized: invalid x-api-key"),
        ("gemini", "gemini-denied.jsonl", "invalid x-api-key"),
        ("opencode", "opencode-denied.jsonl", "invalid x-api-key"),
        ("aider", "aider-denied.txt", "litellm.AuthenticationError"),
    ],
)
def test_a_failure_is_a_result_with_its_reason(parser, file, said):
    result = last(Result, read(parser, file))

    assert result is not None
    assert not result.ok
    assert said in result.text


@pytest.mark.parametrize(
    ("parser", "file"), [("claude", "claude-code-denied.jsonl"), ("codex", "codex-offline.jsonl")]
)
def test_a_tool_that_tries_again_is_busy_and_has_no_result(parser, file):
    observations = read(parser, file)

    assert last(Status, observations) == Status("busy")
    assert last(Result, observations) is None


def test_retries_are_shown():
    assert (
        last(Activity, read("claude", "claude-code-denied.jsonl")).text
        == "The model's API fails: retry 6 of 10"
    )
    assert "waiting for network" in last(Activity, read("codex", "codex-offline.jsonl")).text


def test_aider_that_wants_a_sign_in_is_waiting():
    observations = read("aider", "aider-signed-out.txt")

    assert last(Status, observations) == Status("waiting")
    assert last(Activity, observations).text == "Waiting up to 5 minutes for you to finish in the browser..."


def test_a_stream_read_in_two_parts_by_two_readers_ends_with_the_same_totals():
    output = (STREAMS / "opencode.jsonl").read_bytes()
    stop = output.rindex(b"step_start") + 40
    first = new_parser("opencode")
    counted = last(Usage, first.feed(output[:stop]))
    restart = stop - first.pending

    second = new_parser("opencode", counted)

    assert last(Usage, second.feed(output[restart:])) == last(Usage, read("opencode", "opencode.jsonl"))
