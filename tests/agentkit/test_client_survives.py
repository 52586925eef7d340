from __future__ import annotations

import contextlib
import random
import struct
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest
from websockets.sync.server import ServerConnection

from agentkit import wire
from tests.agentkit.conftest import wait_until
from tests.agentkit.gateway import Gateway, accept, break_off, never_answer
from tests.agentkit.network import client_of, cutting_proxy, free_port, raw_server, report


def test_it_waits_for_a_gateway_that_comes_later() -> None:
    port = free_port()
    with client_of(f"ws://127.0.0.1:{port}/ws/v1/agents/") as client:
        notes = report(client, 300)
        time.sleep(0.2)
        gateway = Gateway(port=port).start()
        receipt = client.close(5.0)
    gateway.stop()

    assert gateway.notes == notes
    assert receipt.acked == 300


@pytest.mark.parametrize("stored", [False, True], ids=["before it was stored", "after it was stored"])
def test_it_resends_what_broke_off_without_an_acknowledgement(gateway: Gateway, stored: bool) -> None:
    def breaks_twice(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        if gateway.connections > 2:
            accept(gateway, connection, frame)
            return
        if stored:
            gateway.store(frame)
        break_off(connection)

    gateway.behaviour = breaks_twice
    with client_of(gateway.url) as client:
        notes = report(client, 600)
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert receipt.acked == 600
    assert len({frame.client for frame in gateway.frames}) == 1
    assert len(gateway.frames) > len(gateway.highest)
    assert all(len(payloads) == 1 for payloads in gateway.payloads.values())


def test_nothing_is_lost_or_doubled_when_connections_break_in_the_middle_of_a_frame(gateway: Gateway) -> None:
    chance = random.Random(7)
    cuts = [chance.randrange(250, 12_000) for _ in range(7)]
    with (
        cutting_proxy(gateway.port, cuts) as port,
        client_of(f"ws://127.0.0.1:{port}/ws/v1/agents/") as client,
    ):
        notes: list[str] = []
        while cuts:
            notes += report(client, 40, first=len(notes))
            time.sleep(0.02)
            assert len(notes) < 15_000, "the connections don't come back"
        notes += report(client, 40, first=len(notes))
        receipt = client.close(8.0)

    assert gateway.notes == notes
    assert (receipt.acked, receipt.lost, receipt.dropped) == (len(notes), 0, 0)


def test_it_survives_a_restart_of_the_gateway(gateway: Gateway) -> None:
    with client_of(gateway.url) as client:
        notes = report(client, 50)
        wait_until(lambda: len(gateway.samples) == 50)
        gateway.stop()
        notes += report(client, 50, first=50)
        gateway.start()
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert receipt.acked == 100


def test_a_late_acknowledgement_still_counts(gateway: Gateway) -> None:
    late: list[threading.Timer] = []

    def answers_later(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        gateway.store(frame)
        late.append(threading.Timer(0.3, gateway.acknowledge, (connection, frame.seq)))
        late[-1].start()

    gateway.behaviour = answers_later
    with client_of(gateway.url) as client:
        notes = report(client, 10)
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert (receipt.acked, gateway.connections) == (10, 1)


def test_it_comes_back_when_a_frame_is_never_acknowledged(gateway: Gateway) -> None:
    def silent_at_first(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        if gateway.connections > 1:
            accept(gateway, connection, frame)

    gateway.behaviour = silent_at_first
    with client_of(gateway.url, ack_timeout=0.3) as client:
        notes = report(client, 10)
        wait_until(lambda: gateway.samples)
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert receipt.acked == 10


def test_closing_is_bounded_when_nothing_is_ever_acknowledged(gateway: Gateway) -> None:
    gateway.behaviour = never_answer
    with client_of(gateway.url) as client:
        report(client, 10)
        wait_until(lambda: gateway.frames)
        began = time.monotonic()
        receipt = client.close(0.4)

    assert 0.3 < time.monotonic() - began < 8
    assert (receipt.acked, receipt.lost) == (0, 10)


def test_it_keeps_frames_in_order_while_the_store_is_away(gateway: Gateway) -> None:
    """The gateway's rule: after `unavailable`, later frames are refused until that one comes again."""
    refused: list[int] = []
    is_away = threading.Event()
    is_away.set()

    def store_is_away(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        if is_away.is_set() or (refused and frame.seq > refused[0]):
            refused[:] = refused or [frame.seq]
            gateway.reply(connection, {"v": 1, "error": "wait", "code": "unavailable", "seq": frame.seq})
            return
        refused.clear()
        accept(gateway, connection, frame)

    gateway.behaviour = store_is_away
    with client_of(gateway.url) as client:
        notes = report(client, 900)
        wait_until(lambda: len(gateway.frames) >= 3)
        is_away.clear()
        receipt = client.close(8.0)

    assert gateway.notes == notes
    assert receipt.acked == 900
    assert gateway.connections == 1


def test_a_frame_that_the_gateway_never_takes_does_not_block_the_next(gateway: Gateway) -> None:
    def dislikes_the_first(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        if frame.seq > 1:
            accept(gateway, connection, frame)
            return
        gateway.reply(connection, {"v": 1, "error": "no", "code": "bad_frame", "seq": 1})
        connection.close(4400, "malformed")

    gateway.behaviour = dislikes_the_first
    with client_of(gateway.url) as client:
        report(client, 1)
        wait_until(lambda: gateway.frames)
        report(client, 2, first=1)
        receipt = client.close(5.0)

    assert gateway.notes == ["s1", "s2"]
    assert (receipt.acked, receipt.dropped) == (2, 1)
    assert gateway.frames[-1].dropped == 1


def test_a_version_that_is_not_spoken_costs_no_frame(gateway: Gateway) -> None:
    def speaks_another(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        gateway.reply(connection, {"v": 2, "error": "update", "code": "bad_version", "seq": frame.seq})
        connection.close(4426, "version 2 only")

    gateway.behaviour = speaks_another
    with client_of(gateway.url) as client:
        report(client, 3)
        wait_until(lambda: "4426" in client.problem)
        receipt = client.close(10.0)

    assert (receipt.lost, receipt.dropped) == (3, 0)


@pytest.mark.parametrize("way", ["close", "handshake"])
def test_a_refused_token_ends_the_wait_at_once_and_says_why(gateway: Gateway, way: str) -> None:
    if way == "handshake":
        gateway.refuse_handshake = HTTPStatus.FORBIDDEN
    else:
        gateway.refuse_close = (4401, "token expired")
    with client_of(gateway.url) as client:
        report(client, 5)
        wait_until(lambda: "4401" in client.problem or "403" in client.problem)
        began = time.monotonic()
        receipt = client.close(10.0)

    assert time.monotonic() - began < 8
    assert (receipt.acked, receipt.lost) == (0, 5)
    assert gateway.frames == []


def says_garbage(connection: ServerConnection) -> None:
    connection.send(b"\xc1\xff\x00garbage")


def says_json_of_another_kind(connection: ServerConnection) -> None:
    connection.send('{"hello": "there"}')


def says_no_frame(connection: ServerConnection) -> None:
    connection.socket.sendall(b"\xff\xff\xff\xff not a frame at all")


def says_far_too_much(connection: ServerConnection) -> None:
    with contextlib.suppress(OSError):
        connection.socket.sendall(b"\x82\x7f" + struct.pack("!Q", 1 << 40) + b"x" * 100_000)


@pytest.mark.parametrize(
    "greeting", [says_garbage, says_json_of_another_kind, says_no_frame, says_far_too_much]
)
def test_garbage_from_the_gateway_costs_a_connection_and_no_sample(
    gateway: Gateway, greeting: Callable[[ServerConnection], None]
) -> None:
    gateway.greeting = greeting
    with client_of(gateway.url) as client:
        notes = report(client, 20)
        wait_until(lambda: gateway.connections >= 2)
        gateway.greeting = None
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert receipt.acked == 20


def test_garbage_in_place_of_an_acknowledgement_costs_no_sample(gateway: Gateway) -> None:
    def babbles_at_first(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        if gateway.connections > 1:
            accept(gateway, connection, frame)
        else:
            connection.send(b"\xff" * 100)

    gateway.behaviour = babbles_at_first
    with client_of(gateway.url) as client:
        notes = report(client, 20)
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert receipt.acked == 20


def test_an_acknowledgement_nobody_asked_for_changes_nothing(gateway: Gateway) -> None:
    def acknowledges_too_much(gateway: Gateway, connection: ServerConnection, frame: wire.Frame) -> None:
        gateway.acknowledge(connection, 4711)
        accept(gateway, connection, frame)
        gateway.acknowledge(connection, frame.seq)

    gateway.behaviour = acknowledges_too_much
    with client_of(gateway.url) as client:
        report(client, 20)
        assert client.close(5.0).acked == 20


@pytest.mark.parametrize("url", ["", "http://127.0.0.1/", "ws://", "ws://name.invalid/x", "nonsense"])
def test_a_wrong_address_is_a_problem_and_no_exception(url: str) -> None:
    with client_of(url) as client:
        report(client, 1)
        wait_until(lambda: client.problem)
        receipt = client.close(0.0)

    assert receipt.lost == 1


def test_something_that_speaks_no_websocket_is_a_problem_and_no_exception() -> None:
    with raw_server(b"SSH-2.0-OpenSSH_9.2\r\n") as port, client_of(f"ws://127.0.0.1:{port}/") as client:
        report(client, 1)
        wait_until(lambda: client.problem)

        assert "no websocket at this address" in client.problem
