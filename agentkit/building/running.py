"""One build: its slot, its process, its report."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time

from agentkit.building.report import Report
from agentkit.building.shim import INSIDE, REPORTS, SLOTS, complain
from agentkit.building.slots import Ticket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from agentkit.building.jobserver import Tokens
    from agentkit.building.plan import Plan
else:
    import _signal as signal  # see shim.py

PATIENCE = 1.0  # seconds of waiting for a slot that aren't worth a word
LOOK = 0.1  # seconds between two looks whether `cargo run` has come to its program
_PR_SET_PDEATHSIG = 1
# A terminal sends these to the whole group, the tool included; who sends them to us alone means the tool.
_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_FROM_KERNEL = 0x80


def run(real: str, argv: list[str], plan: Plan) -> int:
    report = Report(os.environ.get(REPORTS, ""), plan, argv)
    held: list[Ticket | Tokens] = []
    watched = _PASSED_ON | {signal.SIGCHLD}
    try:
        held += take_slot(plan, report)
        held += share_compilers(plan)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        report.begin()
        pid = start(real, argv, {**plan.environment, INSIDE: report.id}, mask)
        status, memory = wait(pid, watched, held if plan.leaves_slot else [])
        report.end(os.waitstatus_to_exitcode(status), memory)
    finally:
        for each in held:
            each.close()
    if os.WIFSIGNALED(status):
        die_of(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def take_slot(plan: Plan, report: Report) -> list[Ticket]:
    """Empty where there are no slots, or none can be had for a fault: the build shall not suffer from that."""
    directory = os.environ.get(SLOTS)
    if not directory:
        return []
    try:
        ticket = Ticket(directory, short=plan.short, patient=plan.patient)
    except OSError as error:
        complain(f"builds without a slot, as none can be taken in {directory}: {error.strerror}")
        return []
    began, told = time.monotonic(), False

    def look(ahead: list[int]) -> None:
        nonlocal told
        report.wait_for(ahead)
        if not told and time.monotonic() - began > PATIENCE:
            told = True
            complain(f"waits for a build slot ({max(len(ahead), ticket.before)} ahead)")

    try:
        report.slot_wait(ticket.wait(look=look))
    except OSError as error:
        complain(f"builds without a slot, as {directory} can't be read: {error.strerror}")
    except KeyboardInterrupt:
        ticket.close()
        report.end(-signal.SIGINT, 0)
        die_of(signal.SIGINT)
    return [ticket]


def share_compilers(plan: Plan) -> list[Tokens]:
    """Empty where no jobserver is to be shared, or there is none: the build has as many compilers as ever then."""
    if not plan.jobserver or len(plan.jobserver.split()) != 1:  # a path with blanks can't be told to cargo
        return []
    from agentkit.building.jobserver import VARIABLE, Tokens

    try:
        tokens = Tokens(plan.jobserver)
    except OSError:
        return []
    plan.environment[VARIABLE] = tokens.flags
    return [tokens]


def start(real: str, argv: list[str], environment: dict[str, str], mask: set[int | signal.Signals]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        # Were we killed, the build would go on without its slot.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execve(real, [real, *argv], environment)  # noqa: S606
    except OSError as error:
        complain(f"{real} can't be run: {error.strerror}")
        os._exit(127 if error.errno == errno.ENOENT else 126)


def wait(pid: int, watched: set[signal.Signals], held: Sequence[Ticket | Tokens]) -> tuple[int, int]:
    """Its wait status and peak memory in bytes. What is `held` is given back once it has become another program."""
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage.ru_maxrss * 1024
        came = signal.sigtimedwait(watched, LOOK) if held else signal.sigwaitinfo(watched)
        if held and is_another_program(pid):
            for each in held:
                each.close()
            held = []
        if came is not None and came.si_signo in _PASSED_ON and came.si_code != _FROM_KERNEL:
            os.kill(pid, came.si_signo)


def is_another_program(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) not in ("cargo", "rustup")  # noqa: PTH115, PTH119
    except OSError:
        return False


def die_of(number: int) -> None:
    """As the tool did, so that a caller sees the same."""
    if number != signal.SIGKILL:  # whose way can't be changed, nor asked to be
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    sys.exit(128 + number)  # where it couldn't be
