"""What a drill was asked to do."""

from __future__ import annotations

from agentkit.arguments import Usage, amount, count, read, share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

HELP = """\
drill: a scripted agent that edits, builds and commits in the current directory, a git checkout.

  python -S -E agentkit/drill.py [options] [-- COMMAND…]

  --operations N   stop after N operations; 0, the default, goes on until stopped
  --think-ms MS    pause between operations, on average (default 0)
  --fail-rate P    share of operations that fail on purpose, 0 to 1 (default 0)
  --overlap P      share of edits in files that all agents share, 0 to 1 (default 0)
  --seed TEXT      same seed, same agent name, same repository: same edits (default 0)
  --timeout S      end a build that takes longer (default 600)
  --check COMMAND  a quick check between edit and build, split as a shell splits words
  --build COMMAND  the build or test command as one argument, split as a shell splits words
  --report FILE    write the summary there too
  -- COMMAND…      the build or test command as it is; no shell reads it

The last line on stdout is the summary, a JSON object. SIGTERM or SIGINT: the operation at hand is finished (a
build gets 3 s), samples are flushed, the summary is printed and the exit code is 0; a second signal ends the
drill at once.
Exit codes: 0 done or stopped, 1 the directory can't be worked in, 2 wrong usage.
"""

_READERS: dict[str, Callable[[str], Any]] = {
    "operations": count,
    "think-ms": amount,
    "fail-rate": share,
    "overlap": share,
    "seed": str,
    "timeout": amount,
    "build": str,
    "check": str,
    "report": str,
}


class Options:
    __slots__ = (
        "check",
        "command",
        "fail_rate",
        "operations",
        "overlap",
        "report",
        "seed",
        "think_ms",
        "timeout",
    )

    def __init__(
        self,
        *,
        operations: int = 0,
        think_ms: float = 0.0,
        fail_rate: float = 0.0,
        overlap: float = 0.0,
        seed: str = "0",
        timeout: float = 600.0,
        report: str = "",
        command: Sequence[str] = (),
        check: Sequence[str] = (),
    ) -> None:
        self.operations = operations
        self.think_ms = think_ms
        self.fail_rate = fail_rate
        self.overlap = overlap
        self.seed = seed
        self.timeout = timeout
        self.report = report
        self.command = list(command)
        self.check = list(check)


def read_options(argv: Sequence[str]) -> Options:
    """Raises Usage."""
    found = read(argv, _READERS)
    if found.words:
        raise Usage(f"Put the command behind --, as in: -- {' '.join(found.words)}")
    build = found.options.pop("build", "")
    if build and found.command:
        raise Usage("Give the command once, as --build or behind --")
    command = split("build", build) if build else found.command
    check = split("check", found.options.pop("check", ""))
    return Options(
        command=command,
        check=check,
        **{name.replace("-", "_"): value for name, value in found.options.items()},
    )


def split(option: str, command: str) -> list[str]:
    if not command:
        return []
    import shlex  # 4 ms, for this option alone

    try:
        return shlex.split(command)
    except ValueError as error:
        raise Usage(f"--{option} {command}: {error}") from error
