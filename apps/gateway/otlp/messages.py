"""Requests and answers of OTLP/HTTP, in its two encodings."""

import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODINGS = (PROTOBUF, JSON)

# In OTLP's JSON these are hexadecimal, which the rules of protobuf's JSON don't know. Nothing here reads them.
IDENTIFIERS = {"traceId", "spanId", "trace_id", "span_id"}

# Of google.rpc.Code, by the status of HTTP.
CODES = {400: 3, 401: 16, 403: 7, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}


class Undecodable(Exception):
    """Not what its Content-Type says. The text says what is wrong."""


def decode(body: bytes, encoding: str, into: Message) -> None:
    """Raises Undecodable."""
    try:
        if encoding == PROTOBUF:
            into.ParseFromString(body)
        else:
            json_format.ParseDict(_json(body), into, ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise Undecodable(f"This isn't an OTLP export in {encoding}: {str(error)[:200]}") from error


def encode(message: Message, encoding: str) -> bytes:
    if encoding == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def status(http_status: int, text: str) -> Message:
    return Status(code=CODES.get(http_status, 2), message=text)


def _json(body: bytes) -> dict[str, Any]:
    found = json.loads(body, object_hook=_without_identifiers)
    if not isinstance(found, dict):
        raise ValueError("its outermost value isn't an object.")  # noqa: TRY004
    return found


def _without_identifiers(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in IDENTIFIERS}
