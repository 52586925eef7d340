"""What may be asked for: each problem is named with the field, and says what to give instead."""

import pytest

from apps.waves.domain.request import MAX_AGENTS, MAX_PROMPT, WaveRequest, problems


def request(**overrides):
    return WaveRequest(**({"repository": "project", "preset": "command", "agents": 3} | overrides))


def test_a_plain_request_can_stand():
    assert problems(request()) == {}
    assert problems(request(agents=1, step_size=0, pause_ms=0, memory_budget_mb=1)) == {}
    assert problems(request(agents=MAX_AGENTS, step_size=1000, prompt="x" * 1000)) == {}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("agents", 0, "0 is out of range: give 1 to 10000 agents."),
        ("agents", -1, "-1 is out of range"),
        ("agents", 100_001, "100001 is out of range"),
        ("step_size", -1, "0: all at once"),
        ("step_size", 1001, "out of range"),
        ("pause_ms", -1, "ms"),
        ("pause_ms", 600_001, "ms"),
        ("memory_budget_mb", 0, "MB"),
        ("memory_budget_mb", -5, "MB"),
        ("memory_budget_mb", 1_000_001, "MB"),
        ("repository", "", "Name a repository"),
        ("restart_policy", "always", "never, lost, failure"),
        ("prompt", "x" * (MAX_PROMPT + 1), "at most 1000000"),
        ("prompt", "a\0b", "NUL"),
        ("prompt", "caf\udce9", "UTF-8"),
        ("role", "x" * 41, "40"),
        ("role", "a\0", "NUL"),
        ("title", "a\0", "NUL"),
        ("idempotency_key", "x" * 101, "100"),
        ("idempotency_key", "\0", "NUL"),
    ],
)
def test_what_cannot_be_is_told_by_field(field, value, told):
    found = problems(request(**{field: value}))

    assert list(found) == [field]
    assert told in found[field]


def test_a_command_is_checked_as_well():
    assert "NUL" in problems(request(command=["sh", "a\0b"]))["prompt"]
    assert "UTF-8" in problems(request(command=["sh", "\udce9"]))["prompt"]
    assert "into a file" in problems(request(command=["x" * 100_000] * 11))["command"]


def test_ten_thousand_copies_of_a_long_prompt_are_too_much():
    assert problems(request(agents=100, prompt="x" * MAX_PROMPT)) == {}
    assert "a file" in problems(request(agents=10_000, prompt="x" * MAX_PROMPT))["prompt"]


def test_every_problem_is_told_at_once():
    assert set(problems(request(agents=0, step_size=-1, repository="", prompt="\0"))) == {
        "agents",
        "step_size",
        "repository",
        "prompt",
    }
