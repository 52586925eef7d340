"""The web process is killed while agents report and somebody looks: neither side loses anything by it."""

import json
import re
import threading
from contextlib import suppress

import pytest
from django.conf import settings as django_settings
from django.test import Client
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from apps.events.domain.actor import Role
from tests.factories import make_user
from tests.gateway.processes import GatewayProcess, ServerProcess, wait_until
from tests.gateway.test_delivery import assert_all_counted_once, load, progress, publishing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(300)]

REGION = "yard_numbers?window=1h"
OPERATIONS = re.compile(r"\b0 of ([\d\u202f]+)\b")  # none of them failed


class WebProcess(ServerProcess):
    module = "controlplane.asgi:application"


class Viewer(threading.Thread):
    """An open page: shows one region, acknowledges each frame, and connects again whenever it is cut off."""

    def __init__(self, port: int, session: str) -> None:
        super().__init__(daemon=True)
        self.port, self.session = port, session
        self.operations = 0  # that it was shown last
        self.connected = 0
        self.cut_off = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            with suppress(OSError, WebSocketException):
                self._look()
            self.cut_off += 1
            self.stopping.wait(0.1)

    def _look(self) -> None:
        address = f"127.0.0.1:{self.port}"
        cookie = {"Cookie": f"{django_settings.SESSION_COOKIE_NAME}={self.session}"}
        with connect(
            f"ws://{address}/ws/v1/console/", origin=f"http://{address}", additional_headers=cookie
        ) as socket:
            socket.send(json.dumps({"show": [REGION]}))
            self.connected += 1
            while not self.stopping.is_set():
                with suppress(TimeoutError):
                    self._take(socket, str(socket.recv(timeout=1)))

    def _take(self, socket: ClientConnection, html: str) -> None:
        number = int(html.split('data-frame="')[1].split('"')[0])
        socket.send(json.dumps({"ack": number}))
        if found := OPERATIONS.search(html):
            self.operations = int(found[1].replace("\u202f", ""))


def signed_in() -> str:
    client = Client()
    client.force_login(make_user("otto", Role.OPERATOR))
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


def test_agents_go_on_nothing_is_counted_twice_and_the_viewer_is_caught_up(
    transactional_db, redis_server, make_agent
):
    gateway = GatewayProcess(redis_server.url)
    telemetry = publishing(redis_server.url)
    web = WebProcess(redis_server.url)
    viewer = Viewer(web.port, signed_in())
    viewer.start()
    try:
        with load(gateway, make_agent, count=3, pause=0.01) as senders:
            for _ in range(2):
                seen = viewer.operations
                wait_until(lambda seen=seen: viewer.operations > seen, what="figures are pushed")
                cut_off = viewer.cut_off
                web.kill()
                wait_until(lambda cut_off=cut_off: viewer.cut_off > cut_off, what="the viewer notices")
                progress(senders)
                web = WebProcess(redis_server.url, web.port)
        acknowledged = sum(sender.acknowledged for sender in senders)
        wait_until(lambda: viewer.operations == acknowledged, what="the viewer is caught up")
        assert viewer.connected >= 3
        assert telemetry.terminate() == 0, telemetry.output()
    finally:
        viewer.stopping.set()
        for process in (web, gateway, telemetry):
            process.kill()

    assert_all_counted_once(senders)
    assert viewer.operations == acknowledged
