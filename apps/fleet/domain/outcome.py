"""What became of an agent, in a word for people."""

STOPPED = "stopped"
ASKED_TO_END = frozenset({"stopped", "killed"})


def was_stopped(state: str, *, asked: bool) -> bool:
    """Whether it ended because somebody asked for it (`asked`), and not because its work was done."""
    return state == "exited" and asked


def outcome_of(state: str, desired: str) -> str:
    """Its state, but for those that were stopped: these didn't end well, nor did they fail."""
    return STOPPED if was_stopped(state, asked=desired in ASKED_TO_END) else state
