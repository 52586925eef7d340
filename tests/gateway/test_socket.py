"""A real gateway process, a real Redis, a real client."""

import itertools
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from apps.fleet.models import State
from apps.lib.redis import connection as redis_connection
from apps.telemetry import ingest
from apps.telemetry.domain.subjects import Labels
from apps.telemetry.domain.tally import total
from apps.telemetry.ingest import AgentNow
from apps.telemetry.pace import CALM, QUICK, say_watched
from apps.telemetry.stream import Entry, Stream
from tests.gateway.processes import AgentClient, sample, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def entries() -> list[Entry]:
    return Stream(redis_connection()).take()[1]


def added() -> int:
    """How many frames are in the stream."""
    return redis_connection().xlen(ingest.STREAM)


def test_it_says_hello_and_its_limits(gateway, make_agent):
    agent, token = make_agent()
    with AgentClient(gateway, token) as client:
        limits = {"agent": agent.name, "max_samples": 256, "max_bytes": 1048576, "window": 8}
        assert client.receive() == {"v": 1, "hello": limits}


def test_it_acknowledges_what_is_in_the_stream(gateway, make_agent):
    agent, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, sample(12.5), sample(7.5, "slot", 5, "task-1", "note"))
        assert client.acknowledged() == 1

    [entry] = entries()
    assert (entry.agent, entry.labels) == (agent.pk, Labels("w1", "coder", "here", ""))
    reported = total(entry.parts.values())
    assert (reported.operations, reported.duration_ms) == (2, 20.0)


def test_it_says_how_long_samples_may_be_kept_back_when_that_changes(gateway, make_agent, redis_server):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()

        def paces(seqs: Iterator[int]) -> Iterator[float | None]:
            for seq in seqs:
                client.send(seq, sample())
                yield client.receive().get("pace")
                time.sleep(0.05)

        seqs = iter(range(1, 1000))
        nobody_looks = next(pace for pace in paces(seqs) if pace)
        say_watched(1.0)
        somebody_looks = next(pace for pace in paces(seqs) if pace)
        said_again = [pace for pace in paces(itertools.islice(seqs, 5)) if pace]

    assert (nobody_looks, somebody_looks, said_again) == (CALM, QUICK, [])


def test_it_answers_text_with_text(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, sample(), text=True)
        assert json.loads(client.socket.recv(timeout=10))["ack"] == 1

    assert total(entries()[0].parts.values()).operations == 1


def test_it_acknowledges_a_resent_frame_without_adding_it_again(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        for seq in (1, 1, 2):
            client.send(seq, sample())
        assert [client.receive()["ack"] for _ in range(3)] == [1, 1, 2]
    with AgentClient(gateway, token) as again:
        again.receive()
        again.send(2, sample())
        assert again.receive()["ack"] == 2

    assert added() == 2


def test_a_whole_window_may_be_under_way(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        for seq in range(1, 9):
            client.send(seq, sample())
        assert [client.receive()["ack"] for _ in range(8)] == list(range(1, 9))


@pytest.mark.parametrize("piece", [1, 7, 50, 10_000])
def test_frames_count_however_they_are_cut_and_what_comes_between(gateway, make_agent, piece):
    _, token = make_agent()
    sent = b"".join(
        part.serialize(mask=True)
        for part in (
            Frame(Opcode.BINARY, encoded(1)),
            Frame(Opcode.PING, b"there?"),
            Frame(Opcode.BINARY, encoded(2)[:30], fin=False),
            Frame(Opcode.PING, b"and now?"),
            Frame(Opcode.CONT, encoded(2)[30:]),
            Frame(Opcode.TEXT, msgspec.json.encode(decoded(3))),
            Frame(Opcode.BINARY, encoded(4)),
        )
    )
    with AgentClient(gateway, token) as client:
        client.receive()
        raw: socket.socket = client.socket.socket
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first in range(0, len(sent), piece):
            raw.sendall(sent[first : first + piece])
        assert sorted(client.receive()["ack"] for _ in range(4)) == [1, 2, 3, 4]

    assert added() == 4


def decoded(seq: int) -> dict[str, Any]:
    return {"v": 1, "client": "c0ffee00", "seq": seq, "samples": [sample()]}


def encoded(seq: int) -> bytes:
    return msgspec.msgpack.encode(decoded(seq))


def test_who_sends_beyond_the_window_is_cut_off(gateway, make_agent, redis_server):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        os.kill(redis_server.process.pid, signal.SIGSTOP)  # so that nothing is acknowledged
        try:
            for seq in range(1, 10):
                client.send(seq, sample())
            refused = client.receive()
        finally:
            os.kill(redis_server.process.pid, signal.SIGCONT)
        assert (refused["code"], refused["seq"]) == ("bad_frame", 9)
        assert client.close_code() == 4400


@pytest.mark.slow
def test_who_sends_on_and_on_and_never_reads_is_cut_off(gateway, make_agent):
    """The same frame again, which is acknowledged each time: nothing piles up for whoever doesn't take that."""
    _, token = make_agent()
    host, port = gateway.url.removeprefix("ws://").split("/")[0].split(":")
    frames = Frame(Opcode.BINARY, encoded(1)).serialize(mask=True) * 1000
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.settimeout(60)
        raw.connect((host, int(port)))
        raw.sendall(
            f"GET /ws/v1/agents/ HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Authorization: Bearer {token}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        with pytest.raises(ConnectionError):
            for _ in range(2000):
                raw.sendall(frames)

    assert gateway.resident_bytes() < 300_000_000


@pytest.mark.parametrize("token", [None, "", "wrong", "agent_" + "x" * 43, "\xff\xfe"])
def test_it_turns_away_who_has_no_right_token(gateway, make_agent, token):
    make_agent()
    with AgentClient(gateway, token) as client:
        assert client.close_code() == 4401


def test_it_turns_away_the_token_of_an_agent_that_has_ended(gateway, make_agent):
    _, token = make_agent(state=State.EXITED)
    with AgentClient(gateway, token) as client:
        assert client.close_code() == 4401


def test_it_closes_the_socket_when_the_agent_ends(gateway, make_agent):
    agent, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        agent.state = State.FAILED
        agent.save()
        assert client.close_code() == 4401


def test_a_token_counts_for_its_own_agent_whatever_the_frame_says(gateway, make_agent):
    mine, _ = make_agent()
    other, others_token = make_agent()
    with AgentClient(gateway, others_token) as client:
        client.receive()
        client.send(1, sample(), agent=mine.pk, name=mine.name)
        assert client.acknowledged() == 1

    assert [entry.agent for entry in entries()] == [other.pk]


def test_it_takes_no_token_from_anywhere_but_the_header(gateway, make_agent):
    _, token = make_agent()
    with connect(f"{gateway.url}?token={token}") as websocket, pytest.raises(Exception, match="4401"):
        websocket.recv(timeout=10)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_it_turns_away_pages_of_other_sites(gateway, make_agent, origin):
    _, token = make_agent()
    with AgentClient(gateway, token, Origin=origin) as client:
        assert client.close_code() == 4403


def test_a_page_of_its_own_host_may_come_in(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token, Origin="http://localhost:8000") as client:
        assert "hello" in client.receive()


MALFORMED = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "a number": 5,
    "an empty map": {},
    "no samples": {"v": 1, "client": "c0ffee00", "seq": 1},
    "a short client id": {"v": 1, "client": "c0", "seq": 1, "samples": []},
    "a client id that is none": {"v": 1, "client": "../../../x", "seq": 1, "samples": []},
    "seq 0": {"v": 1, "client": "c0ffee00", "seq": 0, "samples": []},
    "a huge seq": {"v": 1, "client": "c0ffee00", "seq": 2**60, "samples": []},
    "a kind with a blank": [["a b", 1, 1, 0, "ok"]],
    "a kind of 65": [["a" * 65, 1, 1, 0, "ok"]],
    "nan": [["a", 1, float("nan"), 0, "ok"]],
    "infinite": [["a", 1, 1, float("inf"), "ok"]],
    "negative": [["a", 1, -1, 0, "ok"]],
    "a negative wait": [["a", 1, 1, -0.5, "ok"]],
    "an outcome that is none": [["a", 1, 1, 0, "great"]],
    "a sample of 4": [["a", 1, 1, 0]],
    "257 samples": [["a", 1, 1, 0, "ok"]] * 257,
    "a long note": [["a", 1, 1, 0, "ok", "", 0, "", "n" * 201]],
    "a negative memory": [["a", 1, 1, 0, "ok", "", -1]],
}


@pytest.mark.parametrize("what", MALFORMED)
def test_it_says_what_is_wrong_with_a_frame_and_closes(gateway, make_agent, what):
    _, token = make_agent()
    message = MALFORMED[what]
    with AgentClient(gateway, token) as client:
        client.receive()
        if isinstance(message, bytes):
            client.socket.send(message)
        elif isinstance(message, list):
            client.send(1, *message)
        else:
            client.send_raw(message)
        refused = client.receive()
        assert refused["code"] == "bad_frame"
        assert "docs/reference/wire.md" in refused["error"]
        assert client.close_code() == 4400

    assert added() == 0


def test_it_names_the_frame_that_it_refuses(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(7, ["a b", 1, 1, 0, "ok"], text=True)
        assert client.receive()["seq"] == 7


@pytest.mark.parametrize("rest", [{"samples": []}, {"things": 5}])
def test_it_names_the_version_it_speaks(gateway, make_agent, rest):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send_raw({"v": 2, "client": "c0ffee00", "seq": 3, **rest})
        refused = client.receive()
        assert (refused["code"], refused["seq"]) == ("bad_version", 3)
        assert client.close_code() == 4426


def test_it_ignores_what_later_versions_may_add(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, [*sample(10.0, "slot", 1, "t", "n"), {"later": True}, 5], trace="abc", dropped=2)
        assert client.acknowledged() == 1


def test_it_takes_escapes_out_of_what_people_read(gateway, make_agent):
    agent, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(
            1, sample(1.0, "", 0, "", "a\x1b[31mred\x1b]0;title\x07\x00b"), now="\x1b[2Jbuild\ning\u202e"
        )
        assert client.acknowledged() == 1

    [(_, fields)] = redis_connection().xrange(ingest.STREAM)
    assert b"\x1b" not in fields[b"s"]
    assert b"aredb" in fields[b"s"] or b"ared b" in fields[b"s"]
    assert ingest.read_now([agent.pk])[agent.pk].now == "build ing"


def test_it_keeps_what_an_agent_is_doing(gateway, make_agent):
    agent, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, now="cargo check", state="busy")
        client.receive()
        client.send(2, state="waiting")
        client.receive()

    now = ingest.read_now([agent.pk])[agent.pk]
    assert (now.now, now.state) == ("cargo check", "waiting")
    assert now.at == pytest.approx(time.time(), abs=10)
    assert isinstance(now, AgentNow)
    assert added() == 0


def test_a_message_above_the_limit_is_too_large(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.socket.send(b"x" * (1024 * 1024 + 1))
        assert client.close_code() == 1009


def test_a_message_in_many_fragments_is_too_large_as_well(gateway, make_agent):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.socket.send(b"x" * 65536 for _ in range(32))
        assert client.close_code() == 1009


def test_a_frame_of_a_gigabyte_is_never_held(gateway, make_agent):
    _, token = make_agent()
    before = gateway.resident_bytes()
    with AgentClient(gateway, token) as client:
        client.receive()
        raw: socket.socket = client.socket.socket
        raw.sendall(struct.pack("!BBQ", 0x82, 0x80 | 127, 2**30) + b"mask")
        try:
            for _ in range(100):
                raw.sendall(bytes(1024 * 1024))
        except OSError:
            pass  # cut off, as it should be
        assert gateway.resident_bytes() - before < 30 * 1024 * 1024


def test_it_keeps_the_socket_while_redis_is_away(gateway, make_agent, redis_server):
    _, token = make_agent()
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, sample())
        client.receive()
        redis_server.kill()
        client.send(2, sample())
        client.send(3, sample())
        refused = [client.receive() for _ in range(2)]
        assert [(message["code"], message["seq"]) for message in refused] == [
            ("unavailable", 2),
            ("unavailable", 3),
        ]
        assert "send it again" in refused[0]["error"]

        redis_server.start()
        wait_until(lambda: acknowledged(client, 2), what="frame 2 is acknowledged")
        assert acknowledged(client, 3)

    assert added() == 3


def acknowledged(client: AgentClient, seq: int) -> bool:
    client.send(seq, sample())
    return client.receive().get("ack") == seq


def test_it_refuses_while_the_stream_is_full(gateway, make_agent, redis_server):
    _, token = make_agent()
    redis_connection().set(ingest.BYTES_IN, ingest.MAX_BYTES + 1)
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, sample())
        refused = client.receive()
        assert refused["code"] == "unavailable"
        assert "full" in refused["error"]

        redis_connection().delete(ingest.BYTES_IN)
        assert acknowledged(client, 1)


def test_an_agent_may_have_many_sockets_but_not_without_end(gateway, make_agent):
    _, token = make_agent()
    with ExitStack() as clients:
        for _ in range(64):
            clients.enter_context(AgentClient(gateway, token)).receive()
        with AgentClient(gateway, token) as one_more:
            assert "64 connections" in one_more.receive()["error"]
            assert one_more.close_code() == 1000
    with AgentClient(gateway, token) as later:
        assert "hello" in later.receive()


@pytest.mark.parametrize("path", ["/", "/ws/v2/agents/", "/ws/v1/agents"])
def test_it_serves_no_other_socket(gateway, path):
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{gateway.port}{path}")


def test_it_is_quiet(gateway, make_agent):
    _, token = make_agent()
    before = len(gateway.output())
    with AgentClient(gateway, token) as client:
        client.receive()
        for seq in range(1, 51):
            client.send(seq, sample())
            client.receive()

    assert gateway.output()[before:] == ""
