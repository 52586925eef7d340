"""What to do about one agent, from what is wanted of it and what is seen of it."""

from dataclasses import dataclass
from enum import StrEnum

STARTING_LIMIT = 30.0  # seconds for the launcher to write a pid
ENDING_LIMIT = 5.0  # seconds to get rid of what is left of an agent; then its end is written all the same
HURRY = 1.0  # seconds of it with a look every moment
LAST_SIGNAL = 64  # a shell tells the end by signal N as 128+N; 255 is a program's own way to say "failed"
# SIGCHLD to SIGURG and SIGWINCH stop a process or do nothing to it: 145 is an exit code of a program's own.
NEVER_DEADLY = {*range(17, 24), 28}
NOT_OURS = {"planned", "preparing", "exited", "failed", "lost"}


class Step(StrEnum):
    NOTHING = "nothing"
    START = "start"
    ADOPT = "adopt"  # its process is there: write it down
    FREEZE = "freeze"
    THAW = "thaw"
    TERMINATE = "terminate"  # ask it to end
    DESTROY = "destroy"  # end all of it now
    REAP = "reap"  # it ended, descendants are left
    END = "end"  # it ended and nothing is left
    ABANDON = "abandon"  # its launcher hangs: end that too, and the start with it


@dataclass(frozen=True, slots=True)
class Wanted:
    desired: str  # held, running, paused, stopped, killed
    state: str
    seconds_since_stop: float | None = None
    seconds_since_launch: float | None = None
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`exited`: the exit status is written. `alive`: the agent's own process lives. `left`: processes of it, any kind.
    `frozen`: all of them are stopped. `launcher`: its launcher lives, so an exit status is still to come."""

    launched: bool = False
    exited: bool = False
    alive: bool = False
    left: int = 0
    frozen: bool = False
    launcher: bool = False


def next_step(wanted: Wanted, seen: Seen) -> Step:
    if wanted.state in NOT_OURS:
        return Step.NOTHING
    if wanted.state == "ready":
        return Step.START if wanted.desired == "running" else Step.NOTHING
    if wanted.state == "starting" and not (seen.launched or seen.exited):
        return step_before_launch(wanted, seen)
    if seen.exited or not seen.alive:
        return step_after_end(seen)
    return step_while_alive(wanted, seen)


def step_before_launch(wanted: Wanted, seen: Seen) -> Step:
    """Claimed, but no pid is written: the launcher is on its way, or whoever started it died before it could."""
    if seen.left or seen.launcher:
        if wanted.seconds_since_launch is not None and wanted.seconds_since_launch > STARTING_LIMIT:
            return Step.ABANDON
        return Step.DESTROY if wanted.desired == "killed" else Step.NOTHING
    return Step.START if wanted.desired in {"running", "paused"} else Step.END


def step_after_end(seen: Seen) -> Step:
    if seen.left:
        return Step.REAP
    # The launcher writes the status within moments; without it the status would be taken for lost.
    return Step.NOTHING if seen.launcher and not seen.exited else Step.END


def step_while_alive(wanted: Wanted, seen: Seen) -> Step:
    if wanted.desired == "killed":
        return Step.DESTROY
    if wanted.state == "starting":
        return Step.ADOPT  # whatever is wanted of it by now: that it did start must be on record
    if wanted.desired == "stopped":
        return step_to_stop(wanted)
    if wanted.desired == "paused":
        return Step.NOTHING if seen.frozen and wanted.state == "paused" else Step.FREEZE
    return Step.THAW if wanted.state == "paused" else Step.NOTHING


def step_to_stop(wanted: Wanted) -> Step:
    if wanted.state != "stopping":
        return Step.TERMINATE
    waited = wanted.seconds_since_stop or 0.0
    return Step.DESTROY if waited >= wanted.grace else Step.NOTHING


@dataclass(frozen=True, slots=True)
class Ending:
    state: str  # exited, failed, lost
    reason: str


def ending(
    *,
    exit_code: int | None,
    asked: bool,
    result_error: str = "",
    last_words: str = "",
    over_limit: bool = False,
) -> Ending:
    """How a run ended. `asked`: an operator or its own final result wanted it to end."""
    if asked:
        return Ending("exited", "stopped on request")
    if over_limit and exit_code != 0:
        return Ending("failed", "ended at its hard memory limit")
    if exit_code is None:
        return Ending("lost", "its process vanished without an exit status")
    if exit_code == 0:
        return Ending("failed", result_error) if result_error else Ending("exited", "done")
    if result_error:
        return Ending("failed", f"exit {exit_code}: {result_error}")
    if never_started(exit_code):
        return Ending("failed", f"exit {exit_code}: the program could not be started, see its log")
    if ended_by_signal(exit_code):
        return Ending("lost", f"ended by signal {exit_code - 128} from outside")
    return Ending("failed", f"exit {exit_code}, last: {last_words}" if last_words else f"exit {exit_code}")


def never_launched(*, asked: bool) -> Ending:
    """How a start ended whose launcher hung before there was an agent."""
    if asked:
        return Ending("exited", "stopped on request")
    return Ending("lost", f"could not be started: its launcher hung for {STARTING_LIMIT:.0f} s and was ended")


def with_rest(ended: Ending, *, left: int, held: bool) -> Ending:
    """Says of an end what could not be got rid of: processes, or whoever else holds the agent's output."""
    if left:
        rest = "1 process" if left == 1 else f"{left} processes"
        return Ending(ended.state, f"{ended.reason[:200]}; {rest} could not be ended")
    if held:
        return Ending(ended.state, f"{ended.reason[:200]}; something that could not be ended held its output")
    return ended


def ended_by_signal(exit_code: int) -> bool:
    return 128 < exit_code <= 128 + LAST_SIGNAL and exit_code - 128 not in NEVER_DEADLY


def never_started(exit_code: int | None) -> bool:
    """Whether the shell says that there is no such program, or that it can't be run."""
    return exit_code in (126, 127)


def restart_delay(*, policy: str, state: str, restarts: int, limit: int) -> float | None:
    """Seconds until an ended agent is started again by itself: 1, 2, 4, …; None when it isn't."""
    wanted = (state == "lost" and policy in {"lost", "failure"}) or (
        state == "failed" and policy == "failure"
    )
    if not wanted or restarts >= limit:
        return None
    return float(2**restarts)
