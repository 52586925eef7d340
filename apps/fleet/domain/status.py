"""Whether a live agent is busy, idle or waiting for a person, from its output, its processes and its own word."""

from dataclasses import dataclass

IDLE_AFTER = 10.0  # seconds of silence without CPU use
WORD_LASTS = 30.0  # seconds that an agent's own word counts
BUSY_CPU = 0.02  # cores


@dataclass(frozen=True, slots=True)
class Signs:
    """Ages in seconds, None when there was none. `word` is what the agent or its output stream said of itself."""

    output_age: float | None
    cpu_cores: float
    word: str = ""
    word_age: float | None = None
    run_age: float = 0.0


def status_of(signs: Signs) -> str:
    """ "busy", "idle" or "waiting". Idle is never taken for waiting: only the agent's own word means that it asks."""
    if signs.word == "waiting" and (
        signs.output_age is None or (signs.word_age or 0.0) <= signs.output_age + 1.0
    ):
        return "waiting"
    if signs.word in {"busy", "idle"} and signs.word_age is not None and signs.word_age < WORD_LASTS:
        return signs.word
    if signs.cpu_cores >= BUSY_CPU:
        return "busy"
    quiet = signs.run_age if signs.output_age is None else signs.output_age
    return "idle" if quiet >= IDLE_AFTER else "busy"
