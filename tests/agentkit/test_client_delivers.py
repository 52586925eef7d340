from __future__ import annotations

import os
import threading
import time

import pytest

from agentkit.client import Client
from tests.agentkit.conftest import wait_until
from tests.agentkit.gateway import Gateway, never_answer
from tests.agentkit.network import client_of, free_port, make_certificate, report


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


def test_it_keeps_samples_back_for_as_long_as_the_gateway_wants(gateway: Gateway) -> None:
    gateway.pace = 60.0
    with client_of(gateway.url, flush_after=0.05) as client:
        client.report("edit", ms=1.0)
        wait_until(lambda: gateway.samples)
        report(client, 5)
        time.sleep(0.5)
        kept_back = len(gateway.frames) == 1

        report(client, 256)  # a frame is full: that doesn't wait
        wait_until(lambda: len(gateway.frames) == 2)
        assert client.close(5.0).acked == 262

    assert kept_back
    assert [len(frame.samples) for frame in gateway.frames] == [1, 256, 5]


def test_the_pace_ends_with_the_connection(gateway: Gateway) -> None:
    gateway.pace = 60.0
    with client_of(gateway.url, flush_after=0.05) as client:
        client.report("edit", ms=1.0)
        wait_until(lambda: gateway.samples)
        gateway.pace = None
        port = gateway.port
        gateway.stop()
        again = Gateway(port=port).start()
        try:
            report(client, 5)
            wait_until(lambda: len(again.samples) == 5)
        finally:
            again.stop()


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
