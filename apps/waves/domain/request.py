"""What an operator asks for when starting a wave, checked without touching anything."""

import hashlib
import json
from dataclasses import asdict, dataclass, field

from apps.lib.text import can_be_stored

MAX_AGENTS = 10_000
MAX_STEP = 1_000
MAX_PAUSE_MS = 600_000
MAX_BUDGET_MB = 1_000_000
MAX_PROMPT = 1_000_000
MAX_COMMAND = 1_000_000  # characters, all arguments together
MAX_COPIES = 200_000_000  # characters of prompt and command, all agents together: each has a copy
MAX_KEY = 100
POLICIES = ("never", "lost", "failure")


@dataclass(frozen=True, slots=True)
class WaveRequest:
    repository: str
    preset: str
    agents: int
    step_size: int = 20
    pause_ms: int = 10
    prompt: str = ""
    command: list[str] = field(default_factory=list)
    role: str = ""
    memory_budget_mb: int | None = None
    restart_policy: str = "lost"
    title: str = ""
    idempotency_key: str | None = None


def fingerprint(request: WaveRequest, repository: str) -> str:
    """Two requests with the same one ask for the same. `repository`: what the name or path in it stands for."""
    fields = asdict(request) | {"repository": repository}
    del fields["idempotency_key"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def problems(request: WaveRequest) -> dict[str, str]:
    """Field -> what is wrong with it and what to give instead; empty when the request can stand."""
    found = {}
    for name, value, low, high, unit in (
        ("agents", request.agents, 1, MAX_AGENTS, "agents"),
        ("step_size", request.step_size, 0, MAX_STEP, "agents a step (0: all at once)"),
        ("pause_ms", request.pause_ms, 0, MAX_PAUSE_MS, "ms"),
        ("memory_budget_mb", request.memory_budget_mb, 1, MAX_BUDGET_MB, "MB"),
    ):
        if value is not None and not low <= value <= high:
            found[name] = f"{value} is out of range: give {low} to {high} {unit}."
    if not request.repository:
        found["repository"] = "Name a repository, or give its path."
    if request.restart_policy not in POLICIES:
        found["restart_policy"] = (
            f"“{request.restart_policy}” is no policy: give one of {', '.join(POLICIES)}."
        )
    if len(request.prompt) > MAX_PROMPT:
        found["prompt"] = (
            f"The prompt has {len(request.prompt)} characters: at most {MAX_PROMPT} are passed on."
        )
    return text_problems(request) | found


def text_problems(request: WaveRequest) -> dict[str, str]:
    found = {}
    own = len(request.prompt) + sum(map(len, request.command))
    if own - len(request.prompt) > MAX_COMMAND:
        found["command"] = f"The command has more than {MAX_COMMAND} characters: put them into a file."
    elif own * request.agents > MAX_COPIES:
        found["prompt"] = (
            f"{request.agents} copies of this prompt and command are too much: put it into a file of the "
            "repository, and have the prompt name it."
        )
    if not all(map(can_be_stored, (request.prompt, *request.command))):
        found["prompt"] = (
            "Programs can't be given a NUL character, nor bytes that are no UTF-8: "
            "remove them from the prompt and the command."
        )
    if len(request.role) > 40 or not can_be_stored(request.role):
        found["role"] = "A role's name has at most 40 characters, and no NUL."
    if not can_be_stored(request.title):
        found["title"] = "A title is plain text: this one has a NUL or bytes that are no UTF-8 in it."
    key = request.idempotency_key or ""
    if len(key) > MAX_KEY or not can_be_stored(key):
        found["idempotency_key"] = f"An idempotency key has at most {MAX_KEY} characters, and no NUL."
    return found
