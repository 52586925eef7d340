"""Every acknowledged sample is counted exactly once, whatever is killed meanwhile."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import WebSocketException

from apps.telemetry import snapshot as snapshots
from apps.telemetry.domain.rolling import ROW_SECONDS
from apps.telemetry.models import Rollup
from apps.telemetry.queries import recorded
from tests.gateway.processes import AgentClient, GatewayProcess, TelemetryProcess, sample, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = 5
WINDOW = 8


class Sender(threading.Thread):
    """An agent under load: keeps a window under way, and resends whatever isn't acknowledged."""

    def __init__(self, gateway: GatewayProcess, agent: int, token: str, pause: float) -> None:
        super().__init__(daemon=True)
        self.gateway, self.agent, self.token = gateway, agent, token
        self.client = f"{agent:08x}"
        self.unacknowledged: dict[int, None] = {}
        self.last_seq = 0
        self.acknowledged = 0
        self.pause = pause
        self.stopping = threading.Event()
        self.trouble = 0

    def run(self) -> None:
        while not self.stopping.is_set() or self.unacknowledged:
            try:
                with AgentClient(self.gateway, self.token) as socket:
                    socket.receive()
                    self._talk(socket)
            except (OSError, WebSocketException):
                self.trouble += 1
                time.sleep(0.05)

    def _talk(self, socket: AgentClient) -> None:
        self._resend(socket)
        while not self.stopping.is_set() or self.unacknowledged:
            while len(self.unacknowledged) < WINDOW and not self.stopping.is_set():
                self.last_seq += 1
                self.unacknowledged[self.last_seq] = None
                self._send(socket, self.last_seq)
            answer = socket.receive()
            if answer.get("code") == "unavailable":
                self.trouble += 1
                raise OSError("come back later")
            if answer["ack"] in self.unacknowledged:
                del self.unacknowledged[answer["ack"]]
                time.sleep(self.pause)
                self.acknowledged += SAMPLES

    def _resend(self, socket: AgentClient) -> None:
        for seq in sorted(self.unacknowledged):
            self._send(socket, seq)

    def _send(self, socket: AgentClient, seq: int) -> None:
        socket.send(seq, *[sample()] * SAMPLES, client=self.client)


@contextmanager
def load(gateway: GatewayProcess, make_agent, count: int, pause: float = 0.0) -> Iterator[list[Sender]]:
    senders = [
        Sender(gateway, agent.pk, token, pause) for agent, token in (make_agent() for _ in range(count))
    ]
    for sender in senders:
        sender.start()
    yield senders
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(timeout=60)
        assert not sender.is_alive()


def progress(senders: list[Sender]) -> None:
    """Waits until each of them got something acknowledged from now on."""
    before = [sender.acknowledged for sender in senders]
    wait_until(
        lambda: all(sender.acknowledged > seen for sender, seen in zip(senders, before, strict=True)),
        what="every sender gets on",
    )


def publishing(redis_url: str) -> TelemetryProcess:
    """A telemetry process that is at work."""
    started = time.time()
    process = TelemetryProcess(redis_url)
    wait_until(lambda: (found := snapshots.read(60)) and found.at > started, what="a snapshot is published")
    return process


def test_nothing_is_lost_or_counted_twice(transactional_db, redis_server, make_agent):
    gateway = GatewayProcess(redis_server.url)
    telemetry = publishing(redis_server.url)
    try:
        with load(gateway, make_agent, count=3) as senders:
            progress(senders)

            redis_server.kill()
            wait_until(lambda: any(sender.trouble for sender in senders), what="the senders notice")
            redis_server.start()
            progress(senders)

            assert telemetry.terminate() == 0  # writes a bucket in its middle
            telemetry = publishing(redis_server.url)
            telemetry.kill()
            progress(senders)
            telemetry = publishing(redis_server.url)

            gateway.kill()
            gateway = GatewayProcess(redis_server.url, port=gateway.port)
            progress(senders)
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        gateway.kill()
        telemetry.kill()

    assert_all_counted_once(senders)


@pytest.mark.slow
@pytest.mark.parametrize("homes", [1, 2])
def test_two_telemetry_processes_count_as_one(transactional_db, redis_server, make_agent, tmp_path, homes):
    """In one home, one stands by; in two, both are at work, and the checkpoint lets one of them count."""
    gateway = GatewayProcess(redis_server.url)
    places = [tmp_path / str(number % homes) for number in range(2)]
    both = [TelemetryProcess(redis_server.url, place) for place in places]
    try:
        wait_until(lambda: any(map(is_at_work, both)), seconds=60, what="one of them is at work")
        first, second = sorted(both, key=is_at_work, reverse=True)
        if homes == 1:
            wait_until(lambda: stands_by(second), seconds=60, what="the other one stands by")
            assert not is_at_work(second)
        else:
            wait_until(lambda: is_at_work(second), seconds=60, what="both are at work")
        with load(gateway, make_agent, count=3, pause=0.002) as senders:
            progress(senders)
            wait_until(lambda: counted(senders), seconds=60, what="some are counted")
            progress(senders)

            first.kill()
            before = counted(senders)
            progress(senders)
            wait_until(lambda: counted(senders) > before, seconds=60, what="the other one counts")
            third = TelemetryProcess(redis_server.url, places[0])
            both.append(third)
            wait_until(lambda: is_at_work(third) or stands_by(third), seconds=60, what="a third one is there")
            progress(senders)
        assert third.terminate() == 0, third.output()
        assert second.terminate() == 0, second.output()
        last = publishing(redis_server.url)
        both.append(last)
        assert last.terminate() == 0, last.output()
    finally:
        gateway.kill()
        for process in both:
            process.kill()

    assert_all_counted_once(senders)


def is_at_work(process: TelemetryProcess) -> bool:
    return "reads the sample stream" in process.output()


def stands_by(process: TelemetryProcess) -> bool:
    return "standing by" in process.output()


def counted(senders: list[Sender]) -> int:
    return sum(recorded(sender.agent).operations for sender in senders)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_nothing_is_lost_or_counted_twice_over_many_kills(transactional_db, redis_server, make_agent):
    chance = random.Random(5)
    gateway = GatewayProcess(redis_server.url)
    telemetry = publishing(redis_server.url)
    ends = time.monotonic() + 60
    try:
        with load(gateway, make_agent, count=4, pause=0.005) as senders:
            while time.monotonic() < ends:
                time.sleep(chance.uniform(0.2, 4))
                victim = chance.choice(["redis", "telemetry", "telemetry", "gateway"])
                if victim == "redis":
                    redis_server.kill()
                    time.sleep(chance.uniform(0, 1))
                    redis_server.start()
                elif victim == "telemetry":
                    telemetry.kill()
                    telemetry = TelemetryProcess(redis_server.url)
                else:
                    gateway.kill()
                    gateway = GatewayProcess(redis_server.url, port=gateway.port)
            telemetry.kill()
            telemetry = publishing(redis_server.url)
            progress(senders)
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        gateway.kill()
        telemetry.kill()

    assert_all_counted_once(senders)
    assert Rollup.objects.filter(resolution=1).values("start").distinct().count() >= 5


def assert_all_counted_once(senders: list[Sender]) -> None:
    acknowledged = [sender.acknowledged for sender in senders]
    assert all(acknowledged)
    assert [recorded(sender.agent).operations for sender in senders] == acknowledged
    for resolution in ROW_SECONDS:
        rows = Rollup.objects.filter(resolution=resolution)
        for subjects in (rows.filter(subject__startswith="agent:"), rows.filter(subject="yard")):
            assert sum(subjects.values_list("operations", flat=True)) == sum(acknowledged)


def test_the_telemetry_process_waits_for_redis(transactional_db, redis_server, make_agent, gateway):
    redis_server.kill()
    telemetry = TelemetryProcess(redis_server.url)
    try:
        wait_until(lambda: "telemetry waits" in telemetry.output(), what="it says that it waits")
        redis_server.start()
        agent, token = make_agent()
        with AgentClient(gateway, token) as client:
            client.receive()
            wait_until(lambda: _acknowledged(client), what="the sample is taken")
        wait_until(lambda: "reads the sample stream" in telemetry.output(), what="it starts")
        assert telemetry.terminate() == 0
    finally:
        telemetry.kill()

    assert recorded(agent.pk).operations == 1


def _acknowledged(client: AgentClient) -> bool:
    client.send(1, sample())
    return "ack" in client.receive()
