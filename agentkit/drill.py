"""The drill: a scripted agent that does real work without any API key. `--help` tells options and exit codes.

It is started a hundred at a time, so this file stays small (a script is compiled at each start, what it
imports isn't) and says its first line before it imports anything of weight. The fastest way to start it is
`python -S -E …/agentkit/drill.py`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentkit.drilling.options import Options
    from agentkit.drilling.rounds import Drill


def main(argv: list[str]) -> int:
    find_agentkit()
    agent = os.environ.get("SWARMYARD_AGENT", "")
    if argv[:1] not in (["--help"], ["-h"]):
        say(f"drill {agent or 'without a name'}: at work, pid {os.getpid()}")

    from agentkit.arguments import Usage
    from agentkit.drilling.options import HELP, read_options

    if argv[:1] in (["--help"], ["-h"]):
        say(HELP.rstrip())
        return 0
    try:
        options = read_options(argv)
    except Usage as problem:
        complain(f"{problem}. See --help.")
        return 2
    return work(options, agent)


def work(options: Options, agent: str) -> int:
    from agentkit.drilling.git import GitFailed
    from agentkit.drilling.rounds import Drill
    from agentkit.drilling.stop import Stop

    stop = Stop()
    try:
        drill = Drill(options, agent=agent, environment=os.environ, say=say, stop=stop)
    except GitFailed as problem:
        complain(f"This directory can't be worked in: {problem}. Start the drill inside a git checkout.")
        return 1
    except OSError as problem:
        complain(f"git can't be run here: {problem}")
        return 1
    drill.work()
    return finish(drill, options, stopped=stop())


def finish(drill: Drill, options: Options, *, stopped: bool) -> int:
    """Flush, then the summary: on stdout as the last line, and where --report wants it."""
    import json

    counts = drill.counts
    summary = {
        "drill": 1,
        "operations": counts["operations"],
        "ok": counts["ok"],
        "errors": counts["error"],
        "induced": counts["induced"],
        "acked": 0,
        "dropped": 0,
        "unacked": 0,
        "commits": counts["commits"],
        "wait_ms": round(drill.wait_ms, 1),
        "seed": options.seed,
        "stopped": stopped,
    }
    if drill.client is not None:
        drill.client.tell(now="", state="idle")
        receipt = drill.client.close(3.0 if stopped else 5.0)
        summary |= {"acked": receipt.acked, "dropped": receipt.dropped, "unacked": receipt.lost}
        if receipt.lost or receipt.dropped:
            missing = receipt.lost + receipt.dropped
            say(f"{missing} samples didn't reach the gateway: {receipt.problem or 'no time'}")
    text = json.dumps(summary)
    status = write_report(options.report, text) if options.report else 0
    say(text)
    return status


def write_report(path: str, text: str) -> int:
    """Whoever waits for the file never sees half of it."""
    try:
        with open(path + ".tmp", "w") as file:  # noqa: PTH123 - pathlib costs 7 ms
            file.write(text + "\n")
        os.replace(path + ".tmp", path)  # noqa: PTH105
    except OSError as problem:
        complain(f"The summary can't be written: {problem}")
        return 1
    return 0


def find_agentkit() -> None:
    """Import from where this file is, never from the current directory: a workspace may hold a json.py."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    beside = os.path.join(here, "agentkit")  # noqa: PTH118
    elsewhere = [path for path in sys.path if path not in ("", os.getcwd(), beside, here)]  # noqa: PTH109
    sys.path[:] = [here, *elsewhere]


def say(line: str) -> None:
    """At once and whole. A log that can't be written any more must not end the work."""
    data = (line + "\n").encode(errors="replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass


def complain(line: str) -> None:
    try:
        os.write(2, f"drill: {line}\n".encode(errors="replace"))
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
