"""Writing at once: what the socket takes goes out in order, the rest waits its turn."""

from controlplane.lean_sockets import write_at_once


class Transport:
    """As Twisted's, on a socket that takes `room` bytes."""

    connected, disconnecting, TLS = True, False, False

    def __init__(self, room: int) -> None:
        self.room = room
        self.gone = b""
        self.dataBuffer = b""
        self._tempDataLen = 0

    def writeSomeData(self, data: bytes) -> int | Exception:
        if self.room < 0:
            return ConnectionError("lost")
        taken = data[: self.room]
        self.gone += taken
        self.room -= len(taken)
        return len(taken)

    def later(self, data: bytes) -> None:
        self.dataBuffer += data


def written(transport: Transport, *messages: bytes) -> tuple[bytes, bytes]:
    for message in messages:
        write_at_once(transport, transport.later, message)
    return transport.gone, transport.dataBuffer


def test_what_the_socket_takes_goes_out_at_once():
    assert written(Transport(100), b"one", b"two") == (b"onetwo", b"")


def test_nothing_overtakes_what_waits():
    transport = Transport(5)
    assert written(transport, b"first", b"second") == (b"first", b"second")

    transport.room = 100
    assert written(transport, b"third") == (b"first", b"secondthird")


def test_a_message_that_fits_in_part_goes_on_where_it_stopped():
    assert written(Transport(4), b"message") == (b"mess", b"age")


def test_a_lost_connection_is_left_to_twisted():
    assert written(Transport(-1), b"message") == (b"", b"message")


def test_nothing_is_written_behind_the_end():
    transport = Transport(100)
    transport.disconnecting = True

    assert written(transport, b"message") == (b"", b"message")
