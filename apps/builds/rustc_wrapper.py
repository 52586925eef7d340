"""What cargo is given in front of rustc: a script that asks the host's compiler cache, while there is one.

A server of sccache compiles by itself, so it must see the files. An agent that sees its workspace at another path
(views.py) is in a mount namespace where the host's server isn't: it gets a server of its own there, which its first
question starts and which ends with the agent, or when it had nothing to do for a while. All of them keep what they
make in the same place. Each knows what was there when it began and what it made itself, so agents that compile the same
at the same time do it twice; those that come later don't.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from apps.builds import places, sccache
from apps.builds.sccache import Figures, Program
from apps.lib.paths import write_whole
from apps.lib.process import run

VIEW_IDLE_SECONDS = (
    120  # after which an agent's own server ends; more than between two readings of its figures
)
LONGEST_RUN = 25  # bytes of a run's marker, which names its socket
OWN_FAILURE = 2  # sccache's exit code when it failed itself, as when its server went away; rustc has no such
# Of cargo's variables, those that differ between builds of the same thing: sccache takes each for a part of it. The
# others belong to the crate, which may read them.
_DIFFER = (
    *("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR", "CARGO_BUILD_JOBS"),
    *(
        "CARGO_INCREMENTAL",
        "CARGO_BUILD_INCREMENTAL",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_LOG",
        "CARGO_NET_OFFLINE",
    ),
    *(
        "CARGO_TERM_COLOR",
        "CARGO_TERM_QUIET",
        "CARGO_TERM_VERBOSE",
        "CARGO_TERM_UNICODE",
        "CARGO_TERM_HYPERLINKS",
    ),
    *("CARGO_TERM_PROGRESS_WHEN", "CARGO_TERM_PROGRESS_WIDTH"),
)


def path() -> Path:
    """The file isn't there before there was a server. Once it is there it stays, with or without one: cargo, in the
    middle of a build, must find it for the next crate."""
    return places.compiler_cache() / "rustc-cached"


def own_sockets() -> Path:
    """Holds a socket for each agent that has a server of its own, named by its run's marker."""
    return places.root() / "caches"  # not deeper: the kernel takes paths of LONGEST_SOCKET bytes


def write(program: Program) -> None:
    """It runs for each crate, so in a shell's own words alone. A server of the host that is gone must not be asked:
    sccache would start another one, which would be the agent's."""
    server, cache = shlex.quote(str(sccache.server_file())), shlex.quote(program.path)
    text = f"""#!/bin/sh
unset {" ".join(_DIFFER)}
at=
if {{ read -r pid rest <{server} && read -r state </proc/$pid/stat; }} 2>/dev/null; then
  case $state in
    *") Z "*) ;;
    *) if [ /proc/self/ns/mnt -ef "/proc/$pid/ns/mnt" ]; then at={shlex.quote(str(sccache.socket()))}
       {of_its_own()}
       fi ;;
  esac
fi
if [ "$at" ]; then
  SCCACHE_SERVER_UDS=$at SCCACHE_IGNORE_SERVER_IO_ERROR=1 {cache} "$@"
  code=$?
  [ $code -eq {OWN_FAILURE} ] || exit $code
fi
exec "$@"
""".encode()
    own_sockets().mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path().exists() or path().read_bytes() != text:
        write_whole(path(), text, mode=0o700)  # it may hold what opens a remote storage


def of_its_own() -> str:
    """Lines for who is somewhere else than the host's server, and was started by us; nothing where the home is so deep
    that no socket can lie in it."""
    directory = str(own_sockets())
    if len(directory.encode()) + 1 + LONGEST_RUN > sccache.LONGEST_SOCKET:
        return ":"
    settings = sccache.storage_environment() | {"SCCACHE_IDLE_TIMEOUT": str(VIEW_IDLE_SECONDS)}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(settings.items()))
    return f'elif [ "$SWARMYARD_RUN" ]; then at={shlex.quote(directory)}/$SWARMYARD_RUN; export {exports}'


def live_sockets() -> Iterator[Path]:
    """Those that answer; others are removed."""
    for at in sorted(own_sockets().glob("*")):
        if sccache.answers(at):
            yield at
        else:
            at.unlink(missing_ok=True)


def stop_own() -> None:
    """They finish what they compile."""
    for at in live_sockets():
        words = [sccache.installed().path, "--stop-server"]
        run(words, env=sccache.client_environment(at), timeout=sccache.ASK_SECONDS)


def ensure() -> Program:
    """The host's server runs as it should, and is asked. Raises CacheRefused when there is none then, CacheBusy."""
    program = sccache.ensure()
    write(program)
    return program


def clear() -> None:
    """Removes all that this host keeps. The host process starts its server again. Raises CacheRefused, CacheBusy."""
    sccache.require_clearable()
    stop_own()
    sccache.clear()


class OwnFigures:
    """Of all agents' own servers, also of those that have ended meanwhile."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, int], Figures] = {}
        self._ended: list[Figures] = []

    def look(self, program: Program) -> None:
        live = {(at.name, at.stat().st_ctime_ns): sccache.figures(program, at) for at in live_sockets()}
        ended = [figures for key, figures in self._live.items() if key not in live]
        if ended:
            self._ended = [sum_of([*self._ended, *ended])]
        # One that is too busy to answer is where it was.
        self._live = {key: now for key, found in live.items() if (now := found or self._live.get(key))}

    def added_to(self, host: Figures) -> Figures:
        return sum_of([host, *self._ended, *self._live.values()])


def sum_of(several: Sequence[Figures]) -> Figures:
    """Counts added up; what there is of a place is the first one's."""
    reasons: Counter[str] = Counter()
    for each in several:
        reasons.update(each.reasons)
    return replace(
        several[0],
        hits=sum(each.hits for each in several),
        misses=sum(each.misses for each in several),
        errors=sum(each.errors for each in several),
        reasons=dict(reasons),
    )
