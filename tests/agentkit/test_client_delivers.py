from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from websockets.sync.server import ServerConnection

from agentkit import wire
from agentkit.client import Client
from tests.agentkit.conftest import wait_until
from tests.agentkit.gateway import Gateway, accept, break_off, never_answer


@contextlib.contextmanager
def client_of(url: str, **options: float) -> Iterator[Client]:
    client = Client(url, "secret", **{"flush_after": 0.02, **options})  # type: ignore[arg-type]
    yield client
    client.close(0.0)


def report(client: Client, count: int, first: int = 0) -> list[str]:
    notes = [f"s{number}" for number in range(first, first + count)]
    for note in notes:
        client.report("edit", ms=1.0, note=note)
    return notes


def test_it_delivers_every_sample_once_and_in_order(gateway: Gateway) -> None:
    with client_of(gateway.url) as client:
        notes = report(client, 1000)
        receipt = client.close(5.0)

    assert gateway.notes == notes
    assert (receipt.acked, receipt.lost, receipt.dropped, receipt.problem) == (1000, 0, 0, "")
    assert [frame.seq for frame in gateway.frames] == list(range(1, len(gateway.frames) + 1))
    assert max(len(frame.samples) for frame in gateway.frames) == 256


def test_it_gathers_samples_by_time_before_it_sends(gateway: Gateway) -> None:
    with client_of(gateway.url, flush_after=0.3) as client:
        client.report("edit", ms=1.0)
        wait_until(lambda: gateway.samples)
        report(client, 5)
        time.sleep(0.05)
        report(client, 5)
        wait_until(lambda: len(gateway.samples) == 11)

    assert [len(frame.samples) for frame in gateway.frames] == [1, 10]


def test_it_tells_what_the_agent_is_doing(gateway: Gateway) -> None:
    with client_of(gateway.url) as client:
        client.tell(now="cargo check", state="busy")
        wait_until(lambda: gateway.frames)

    assert (gateway.frames[0].now, gateway.frames[0].state) == ("cargo check", "busy")
    assert gateway.frames[0].samples == []


def test_it_understands_replies_in_text(gateway: Gateway) -> None:
    gateway.text_replies = True
    with client_of(gateway.url) as client:
        report(client, 3)
        assert client.close(5.0).acked == 3


def test_it_keeps_to_the_window_of_the_gateway() -> None:
    gateway = Gateway(window=2).start()
    gateway.behaviour = never_answer
    with client_of(gateway.url) as client:
        report(client, 2000)
        wait_until(lambda: len(gateway.frames) == 2)
        receipt = client.close(0.3)
    gateway.stop()

    assert len(gateway.frames) == 2
    assert (receipt.acked, receipt.lost) == (0, 2000)


def test_a_sample_costs_the_agent_microseconds_while_the_gateway_is_down() -> None:
    with client_of(f"ws://127.0.0.1:{free_port()}/", capacity=1000) as client:
        began = time.perf_counter()
        report(client, 5000)
        took = time.perf_counter() - began
        receipt = client.close(0.3)

    assert took < 2.0  # 0.02 s on an idle machine
    assert (receipt.acked, receipt.lost, receipt.dropped) == (0, 1000, 4000)
    assert "refused" in receipt.problem


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
    with cutting_proxy(gateway.port, cuts) as port, client_of(f"ws://127.0.0.1:{port}/ws/v1/agents/") as client:
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

    assert 0.3 < time.monotonic() - began < 1.5
    assert (receipt.acked, receipt.lost) == (0, 10)


def test_it_keeps_frames_in_order_while_the_store_is_away(gateway: Gateway) -> None:
    """The rule that a gateway keeps: after `unavailable`, later frames are refused until that one comes again."""
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

    assert time.monotonic() - began < 2.0
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


@pytest.mark.parametrize("greeting", [says_garbage, says_json_of_another_kind, says_no_frame, says_far_too_much])
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


def test_it_speaks_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    import ssl

    pytest.importorskip("cryptography", reason="a certificate has to be made")
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    gateway = Gateway()
    gateway.options["ssl"] = context
    gateway.start()
    with client_of(f"wss://localhost:{gateway.port}/ws/v1/agents/") as client:
        notes = report(client, 1000)
        receipt = client.close(5.0)
    gateway.stop()

    assert gateway.notes == notes
    assert receipt.acked == 1000


def test_there_is_no_client_without_a_gateway() -> None:
    assert Client.from_environment({}) is None
    assert Client.from_environment({"SWARMYARD_GATEWAY": "ws://127.0.0.1:1/"}) is not None


def test_it_holds_the_first_connection_back_but_closing_does_not_wait(gateway: Gateway) -> None:
    with client_of(gateway.url, hold=30.0) as client:
        report(client, 3)
        time.sleep(0.1)
        assert gateway.connections == 0
        assert client.close(5.0).acked == 3


def test_it_leaves_no_descriptor_and_no_thread_behind(gateway: Gateway) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with client_of(gateway.url) as client:
            report(client, 3)
            client.close(5.0)

    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
    wait_until(lambda: not [each for each in threading.enumerate() if each.name == "swarmyard-telemetry"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(answer)
                        connection.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting_proxy(port: int, cuts: list[int]) -> Iterator[int]:
    """Forwards both ways, and breaks each connection after the next number of bytes from the client in `cuts`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def forward(source: socket.socket, target: socket.socket, limit: float) -> None:
            with contextlib.suppress(OSError):
                while limit > 0 and (data := source.recv(int(min(limit, 4096)))):
                    target.sendall(data)
                    limit -= len(data)
            for each in (source, target):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.create_connection(("127.0.0.1", port))
                    limit = cuts.pop() if cuts else float("inf")
                    threading.Thread(target=forward, args=(near, far, limit), daemon=True).start()
                    threading.Thread(target=forward, args=(far, near, float("inf")), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def make_certificate(directory: os.PathLike[str]) -> str:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(directory, "localhost.pem")
    with open(path, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    return path
