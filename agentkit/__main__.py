"""`yard`: what an agent, or whoever wrote its prompt, can say to the control plane from a workspace."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkit.client import Receipt

HELP = """\
yard: talk to the Swarmyard that started you.

  yard status                    which agent you are, and where
  yard report KIND --ms N        report one operation of N milliseconds and wait until it is recorded
       [--outcome ok|error] [--wait-ms N] [--note TEXT]
  yard time KIND -- COMMAND…     run the command, report its duration and outcome, end with its exit code
  yard cargo ARGUMENTS…          build, with a build directory of your own and a slot among all builds of this machine;
                                 also pytest, mypy, python -m pytest, npm, tsc. On a shell of your own, AGENT_ID says
                                 who you are: AGENT_ID=a1 yard cargo check

A KIND is a short name such as build, test or search: a-z 0-9 _ . : -
Exit codes: 0 done, 1 refused or not recorded, 2 wrong usage. `time` ends as its command did, or with 127 when
the command can't be run. A build tool ends as it does without yard.
"""
PATIENCE = 5.0  # seconds to wait for the gateway
PATIENCE_AFTER_COMMAND = 2.0  # an agent waits for its own command, not for telemetry
_ENVIRONMENT = {
    "agent": "SWARMYARD_AGENT",
    "wave": "SWARMYARD_WAVE",
    "workspace": "SWARMYARD_WORKSPACE",
    "run directory": "SWARMYARD_RUN_DIR",
    "gateway": "SWARMYARD_GATEWAY",
}


def main(argv: list[str]) -> int:
    find_agentkit()
    from agentkit.arguments import Usage
    from agentkit.building.tools import TOOLS

    commands = {"status": status, "report": report, "time": time_command}
    if not argv or argv[0] in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0 if argv else 2
    try:
        if argv[0] in TOOLS:
            return build(argv[0], argv[1:])
        return commands.get(argv[0], unknown)(argv[1:])
    except Usage as problem:
        complain(f"{problem}. See yard --help.")
        return 2


def unknown(argv: list[str]) -> int:
    from agentkit.arguments import Usage

    raise Usage("The commands are status, report, time, cargo and other build tools")


def build(tool: str, argv: list[str]) -> int:
    from agentkit.arguments import Usage
    from agentkit.building.by_hand import NoName, run

    try:
        return run(tool, argv)
    except NoName as problem:
        raise Usage(str(problem)) from problem


def status(argv: list[str]) -> int:
    from agentkit.arguments import Usage

    if argv:
        raise Usage("status takes no arguments")
    known = {name: os.environ.get(variable, "") for name, variable in _ENVIRONMENT.items()}
    if not any(known.values()):
        complain("Swarmyard didn't start this process: none of its environment variables is set.")
        return 1
    for name, value in known.items():
        print(f"{name:<14}{value or '-'}")
    return 0


def report(argv: list[str]) -> int:
    from agentkit.arguments import Usage, amount, read
    from agentkit.client import Client

    found = read(argv, {"ms": amount, "wait-ms": amount, "outcome": str, "note": str})
    if len(found.words) != 1 or found.command or "ms" not in found.options:
        raise Usage("report takes one KIND and --ms N")
    values = {name.replace("-", "_"): value for name, value in found.options.items()}
    client = Client.from_environment()
    if client is None:
        complain("There is no gateway to report to: SWARMYARD_GATEWAY isn't set.")
        return 1
    try:
        client.report(found.words[0], **values)
    except ValueError as problem:
        raise Usage(str(problem)) from problem
    return 0 if is_recorded(client.close(PATIENCE)) else 1


def time_command(argv: list[str]) -> int:
    from agentkit.arguments import Usage, read
    from agentkit.client import Client
    from agentkit.samples import is_kind

    found = read(argv, {})
    if len(found.words) != 1 or not is_kind(found.words[0]) or not found.command:
        raise Usage("time takes one KIND, then -- and a command")
    began = time.monotonic()
    code, memory = run_attached(found.command)
    ms = (time.monotonic() - began) * 1000
    client = Client.from_environment()
    if client is not None:
        outcome = "ok" if code == 0 else "error"
        client.report(found.words[0], ms=ms, outcome=outcome, memory=memory, note=" ".join(found.command))
        is_recorded(client.close(PATIENCE_AFTER_COMMAND))
    return code


def run_attached(command: list[str]) -> tuple[int, int]:
    """Run with our own stdin and outputs; the exit code as a shell says it, and the peak memory in bytes."""
    import signal

    from agentkit.processes import send, start

    # A terminal interrupts the command too, and its end is ours. Not SIG_IGN: the command would inherit that.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        pid = start(command, os.environ)
    except OSError as problem:
        complain(f"{command[0]} can't be run: {problem.strerror}")
        return 127, 0
    signal.signal(signal.SIGTERM, lambda number, frame: send(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    _, ended, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(ended)
    return code if code >= 0 else 128 - code, usage.ru_maxrss * 1024


def is_recorded(receipt: Receipt) -> bool:
    if receipt.lost or receipt.dropped:
        complain(f"The report wasn't recorded: {receipt.problem or 'the gateway did not answer in time'}.")
        return False
    return True


def find_agentkit() -> None:
    """Import from where this file is, never from the current directory: a workspace may hold a json.py."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    beside = os.path.join(here, "agentkit")  # noqa: PTH118
    elsewhere = [path for path in sys.path if path not in ("", os.getcwd(), beside, here)]  # noqa: PTH109
    sys.path[:] = [here, *elsewhere]


def complain(line: str) -> None:
    print(f"yard: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
