"""The hint channel's format: `{"topic", "pk"}` says "look at this row again"."""

import json
from typing import NamedTuple

import redis

CHANNEL = "yard:hints"


class Hint(NamedTuple):
    topic: str
    pk: int


def send(client: redis.Redis, topic: str, pk: int) -> None:
    client.publish(CHANNEL, json.dumps({"topic": topic, "pk": pk}))


def parse(data: bytes | str) -> Hint | None:
    """None for what isn't a hint: the channel is open to whoever reaches Redis."""
    try:
        message = json.loads(data)
        return Hint(str(message["topic"]), int(message["pk"]))
    except (ValueError, KeyError, TypeError):
        return None
