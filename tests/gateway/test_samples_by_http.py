"""Frames by HTTP, to a real gateway process."""

import gzip
import json
from typing import Any

import msgspec
import pytest

from apps.fleet.models import State
from apps.lib.redis import connection as redis_connection
from apps.telemetry import ingest
from tests.gateway.posting import Answer, post
from tests.gateway.processes import AgentClient, sample, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/samples"
MSGPACK = "application/msgpack"


def entries() -> list[tuple[int, list[Any]]]:
    """The agent and the samples of each entry in the stream."""
    found = redis_connection().xrange(ingest.STREAM)
    return [(int(fields[b"a"]), msgspec.msgpack.decode(fields[b"s"])) for _, fields in found]


def frame(seq: int = 1, *samples: list, **rest) -> dict:
    return {"v": 1, "client": "c0ffee00", "seq": seq, "samples": list(samples), **rest}


def send(gateway, token, message: dict, **headers: str) -> Answer:
    return post(gateway, PATH, json.dumps(message).encode(), token, **headers)


def test_it_acknowledges_what_is_in_the_stream(gateway, make_agent):
    agent, token = make_agent()
    answer = send(gateway, token, frame(1, sample(12.5), sample(7.5), now="cargo check"))

    assert (answer.status, answer.json) == (200, {"v": 1, "ack": 1})
    [(whose, samples)] = entries()
    assert (whose, [ms for _, _, ms, *_ in samples]) == (agent.pk, [12.5, 7.5])
    assert ingest.read_now([agent.pk])[agent.pk].now == "cargo check"


def test_it_answers_msgpack_with_msgpack(gateway, make_agent):
    _, token = make_agent()
    answer = post(gateway, PATH, msgspec.msgpack.encode(frame(3, sample())), token, MSGPACK)

    assert answer.headers["content-type"] == MSGPACK
    assert msgspec.msgpack.decode(answer.body) == {"v": 1, "ack": 3}


def test_a_frame_counts_once_whichever_way_it_comes(gateway, make_agent):
    _, token = make_agent()
    assert send(gateway, token, frame(1, sample())).status == 200
    assert send(gateway, token, frame(1, sample())).status == 200
    with AgentClient(gateway, token) as client:
        client.receive()
        client.send(1, sample())
        assert client.acknowledged() == 1

    assert len(entries()) == 1


def test_it_takes_gzip(gateway, make_agent):
    _, token = make_agent()
    body = gzip.compress(json.dumps(frame(1, *[sample()] * 256)).encode())
    answer = post(gateway, PATH, body, token, Content_Encoding="gzip")

    assert answer.json == {"v": 1, "ack": 1}
    assert len(entries()[0][1]) == 256


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_it_wants_the_token_of_an_agent(gateway, make_agent, token):
    make_agent()
    answer = send(gateway, token, frame(1, sample()))

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "oken" in answer.json["error"]
    assert entries() == []


def test_the_token_of_an_agent_that_ended_is_none(gateway, make_agent):
    agent, token = make_agent()
    assert send(gateway, token, frame(1, sample())).status == 200
    agent.state = State.EXITED
    agent.save()

    wait_until(lambda: send(gateway, token, frame(2)).status == 401, what="the token is refused")


def test_pages_of_other_sites_stay_outside(gateway, make_agent):
    _, token = make_agent()
    assert send(gateway, token, frame(1), Origin="http://elsewhere.example").status == 403


BAD = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "not a frame": b"[]",
    "nan": b'{"v":1,"client":"c0ffee00","seq":1,"samples":[["a",1,NaN,0,"ok"]]}',
    "another version": b'{"v":2,"client":"c0ffee00","seq":1,"samples":[]}',
    "257 samples": json.dumps(frame(1, *[sample()] * 257)).encode(),
}


@pytest.mark.parametrize("what", BAD)
def test_it_says_what_is_wrong_with_a_frame(gateway, make_agent, what):
    _, token = make_agent()
    answer = post(gateway, PATH, BAD[what], token)

    assert answer.status == 400
    assert answer.json["code"] in ("bad_frame", "bad_version")
    assert answer.json["error"]
    assert entries() == []


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_it_wants_to_know_what_the_body_is(gateway, make_agent, kind):
    _, token = make_agent()
    answer = post(gateway, PATH, json.dumps(frame(1)).encode(), token, kind)

    assert answer.status == 415
    assert "application/msgpack" in answer.json["error"]


def test_it_takes_no_other_encoding(gateway, make_agent):
    _, token = make_agent()
    assert send(gateway, token, frame(1), Content_Encoding="br").status == 415


def test_only_post_is_taken(gateway, make_agent):
    _, token = make_agent()
    answer = post(gateway, PATH, b"", token, method="GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_body_above_the_limit_is_too_large_and_never_held(gateway, make_agent):
    _, token = make_agent()
    before = gateway.resident_bytes()
    assert post(gateway, PATH, b" " * (1024 * 1024 + 1), token).status == 413
    assert post(gateway, PATH, b" " * (40 * 1024 * 1024), token).status == 413
    assert gateway.resident_bytes() - before < 30 * 1024 * 1024


def test_a_body_in_chunks_is_bounded_as_well(gateway, make_agent):
    _, token = make_agent()
    body = json.dumps(frame(1, sample())).encode()
    chunks = iter([body[:20], body[20:]])
    assert post(gateway, PATH, chunks, token).json == {"v": 1, "ack": 1}
    assert post(gateway, PATH, iter([b" " * 65_536] * 64), token).status == 413


def test_a_body_of_the_limit_is_read(gateway, make_agent):
    _, token = make_agent()
    body = json.dumps(frame(1, sample())).encode()
    answer = post(gateway, PATH, body + b" " * (1024 * 1024 - len(body)), token)
    assert answer.json == {"v": 1, "ack": 1}


def test_a_gzip_bomb_is_too_large_and_never_unfolds(gateway, make_agent):
    _, token = make_agent()
    bomb = gzip.compress(bytes(400 * 1024 * 1024), compresslevel=9)
    before = gateway.resident_bytes()
    assert post(gateway, PATH, bomb, token, Content_Encoding="gzip").status == 413
    assert gateway.resident_bytes() - before < 30 * 1024 * 1024


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_gzip_that_is_cut_off_is_bad(gateway, make_agent, cut):
    _, token = make_agent()
    body = gzip.compress(json.dumps(frame(1, sample())).encode())[:-cut]
    answer = post(gateway, PATH, body, token, Content_Encoding="gzip")
    assert answer.status == 400
    assert entries() == []


def test_it_asks_to_come_back_while_redis_is_away(gateway, make_agent, redis_server):
    _, token = make_agent()
    redis_server.kill()
    answer = send(gateway, token, frame(1, sample()))
    assert (answer.status, answer.headers["retry-after"], answer.json["code"]) == (503, "5", "unavailable")

    redis_server.start()
    wait_until(lambda: send(gateway, token, frame(1, sample())).status == 200, what="the frame is taken")
    assert len(entries()) == 1


def test_it_asks_to_come_back_while_the_stream_is_full(gateway, make_agent):
    _, token = make_agent()
    redis_connection().set(ingest.BYTES_IN, ingest.MAX_BYTES + 1)
    answer = send(gateway, token, frame(1, sample()))
    assert answer.status == 503
    assert "full" in answer.json["error"]


def test_other_paths_are_no_doors(gateway):
    answer = post(gateway, "/api/v1/agents", b"", None)
    assert answer.status == 404
