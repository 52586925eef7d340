"""Who may come in: the token in the handshake, and no pages of other sites."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.http.request import validate_host

Headers = Iterable[tuple[bytes, bytes]]


def bearer_token(headers: Headers) -> str:
    """The token of `Authorization: Bearer …`, "" when there is none."""
    # OTEL_EXPORTER_OTLP_HEADERS holds it percent-encoded, and not every SDK decodes it.
    scheme, _, token = header(headers, b"authorization").replace("%20", " ", 1).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_foreign(headers: Headers, allowed_hosts: list[str]) -> bool:
    """Whether a page of another site opened this socket. Programs send no Origin and aren't."""
    origin = header(headers, b"origin")
    if not origin:
        return False
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return True
    # Django writes IPv6 hosts with brackets.
    host = f"[{host}]" if ":" in host else host
    return not validate_host(host, allowed_hosts)


def header(headers: Headers, name: bytes) -> str:
    """The first header of this name, "" without one."""
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")
