"""Plain HTTP to a gateway process."""

import http.client
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from tests.gateway.processes import GatewayProcess


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return msgspec.json.decode(self.body)


def post(
    gateway: GatewayProcess,
    path: str,
    body: bytes | Iterator[bytes],
    token: str | None,
    kind: str = "application/json",
    *,
    method: str = "POST",
    **headers: str,
) -> Answer:
    """Keyword arguments are headers, with `_` for `-`. A body that is an iterator goes in chunks."""
    sent = {"Content-Type": kind} if kind else {}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request(method, path, body, sent, encode_chunked=not isinstance(body, bytes))
        found = connection.getresponse()
        return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
    finally:
        connection.close()
