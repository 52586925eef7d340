"""How an agent's tools find the gateway, from the address of its websocket."""

from urllib.parse import quote, urlsplit, urlunsplit

SOCKET_PATH = "/ws/v1/agents/"
SCHEMES = {"ws": "http", "wss": "https"}


def otlp_endpoint(gateway_url: str) -> str:
    """Where OTLP goes, without the path of a signal, which SDKs add. "" for an address that isn't a websocket's."""
    parts = urlsplit(gateway_url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        return ""
    path = parts.path.removesuffix(SOCKET_PATH) if parts.path.endswith(SOCKET_PATH) else ""
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, "", ""))


def otlp_headers(token: str) -> str:
    """For OTEL_EXPORTER_OTLP_HEADERS, whose values are percent-encoded. "" without a token."""
    return f"Authorization={quote(f'Bearer {token}', safe='')}" if token else ""
