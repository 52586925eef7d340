"""A websocket past ASGI's messages, for who has thousands a second: no queue, no coroutine, no turn of the loop."""

from collections.abc import Callable
from typing import Protocol

# By this name the server (controlplane/lean_sockets.py) offers it in the extensions of a websocket's scope.
DIRECT = "swarmyard.direct"

Message = bytes | str


class Direct(Protocol):
    """One accepted websocket. Once it is closed, nothing of this does anything."""

    def hear(self, listener: Callable[[Message], None]) -> None:
        """From now on messages are brought to `listener`, instead of by `receive`."""

    def say(self, *messages: Message) -> None: ...

    def close(self, code: int) -> None: ...
