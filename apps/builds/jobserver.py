"""The jobserver that builds of this host share where options say so: see agentkit/building/jobserver.py."""

import os
from pathlib import Path

from apps.builds import places
from apps.lib.paths import write_whole

FIFO, NUMBER = "fifo", "tokens"  # as the shims know them


def make_ready(usable_cpus: float | None) -> None:
    """After `places.make_ready`. A build alone may have a compiler a core: the first one needs no token."""
    write_whole(places.jobserver() / NUMBER, f"{max(0, int(usable_cpus or 1) - 1)}\n".encode())
    renew()


def renew() -> None:
    """A new one in place of one that may have lost tokens, of builds that were killed. Builds under way go on with
    the old one, so there may be twice as many tokens until they end."""
    new = Path(f"{places.jobserver() / FIFO}.new")
    new.unlink(missing_ok=True)
    os.mkfifo(new, 0o600)
    new.replace(places.jobserver() / FIFO)
