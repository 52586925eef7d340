"""Keeps this process from speaking to private addresses while an alert is sent.

The check is at the socket, on the very address that is connected to: a name that resolves to something else the second
time, a redirect, or a mail server named in an address all come through there. Python's audit hooks see every connection
that Python code makes, whatever library makes it.
"""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from apps.alerts.domain.addresses import Network, is_public

WATCHED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class PrivateAddress(Exception):
    """No OSError: libraries would take it for a connection that failed, and try again or elsewhere."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"{host} is a private address: nothing is sent there unless SWARMYARD_ALERT_NETWORKS names its network."
        )


# Of those who are in `public_only` now. A hook can't be taken away again: it looks here whether it has anything to do.
_allowed: list[Sequence[Network]] = []
_hooked = False


@contextmanager
def public_only(allowed: Sequence[Network]) -> Iterator[None]:
    """For the whole process: no connection but to public addresses and to the `allowed` networks, and by no proxy
    (which would connect for us, and ask nobody). Connections that exist already stay."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_look)
        _hooked = True
    _allowed.append(allowed)
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        _allowed.remove(allowed)
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed or event not in WATCHED:
        return
    connection, address = arguments[0], arguments[1]
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return
    host = str(address[0])
    if not all(is_public(host, networks) for networks in _allowed):
        raise PrivateAddress(host)
