"""What the last build of a base printed, read by a worker of its host."""

from apps.builds import places
from apps.builds.bases import OnDisk
from apps.lib import questions
from apps.lib.regular import opened_regular
from apps.lib.text import terminal_text
from apps.workspaces.models import Repository

TAIL = 32_000  # bytes


def tail(repository_pk: int) -> str:
    """The end of it, from the start of a line; "" where there is none."""
    log = OnDisk(places.base_of(Repository(pk=repository_pk))).log
    try:
        with opened_regular(log) as descriptor, open(descriptor, "rb", closefd=False) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except FileNotFoundError:
        return ""
    if size > TAIL:
        data = data[data.find(b"\n") + 1 :]
    return terminal_text(data.decode("utf-8", "replace"))


def tail_on(host: str, repository_pk: int) -> str:
    """Raises NoAnswer."""
    text: str = questions.ask(f"host.{host}", tail, repository_pk)
    return text
