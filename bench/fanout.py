"""Pages' live push: how many deliveries a second one web process gives, how late, and at what memory; and how long a
sample takes from an agent into the DOM of a real browser.

Viewers are signed-in websockets that acknowledge each frame, as pages do. What they look at is one kilobyte that is new
in each tick, and ticks come as fast as the process gives them; a delivery's lateness is from the beginning of its
tick. One viewer more never reads: what it costs is measured, and that it is dropped.
"""

import base64
import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from dashboard import FLAGS, chromium
from load import Load, Websocket
from parts import Parts
from playwright.sync_api import Page, sync_playwright
from report import Figure, machine, options, percentile, say, show
from yard import PROJECT, cpu_seconds, memory_mb

VIEWERS = (1, 100, 300)
DROPPED_WITHIN = 45.0
AGENTS = 100
# Notes the operations in the agent's figures whenever these change, and when.
WATCH = """
window.counted = [];
const look = () => {
  const found = /([\\d,]+) in 1 min/.exec(document.getElementById("agent_numbers")?.textContent ?? "");
  if (found) window.counted.push([Number(found[1].replaceAll(",", "")), Date.now()]);
};
new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
"""
PULSE = re.compile(rb'data-frame="(\d+)" data-tick="\d+" data-tick-at="([\d.]+)"')
SESSION = """
import json
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from apps.access.models import Membership
from apps.events.domain.actor import Role
user = get_user_model().objects.create_user("bench")
Membership.objects.create(user=user, role=Role.OPERATOR)
client = Client()
client.force_login(user)
name = settings.SESSION_COOKIE_NAME
print(json.dumps([name, client.cookies[name].value]))
"""


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    figures = fan_out(4 if chosen.quick else 15)
    figures += into_the_dom(20 if chosen.quick else 60)
    show("fanout", where, figures, as_json=chosen.json)


def fan_out(seconds: int) -> list[Figure]:
    figures = []
    with bench_web() as (yard, cookie):
        web = yard.pid("web")
        for count in VIEWERS:
            found = watched(yard, cookie, count, seconds)
            rate = len(found.late_ms) / found.seconds
            p99 = percentile(found.late_ms, 0.99)
            say(
                f"{count} viewers: {rate:.0f} deliveries/s, p99 {p99:.0f} ms, {found.memory_mb:.0f} MB, "
                f"{found.cores:.2f} cores"
            )
            last = count == VIEWERS[-1]
            figures += [
                Figure(f"fanout_{count}_per_s", rate, "1/s", None, "higher"),
                Figure(f"fanout_{count}_p99_ms", p99, "ms", None, "lower"),
                Figure(f"fanout_{count}_rss_mb", found.memory_mb, "MB", None, "lower"),
            ]
            if last:
                figures += [
                    Figure("fanout_per_s", rate, "1/s", 10_000.0, "higher"),
                    Figure("fanout_p99_ms", p99, "ms", 250.0, "lower"),
                ]
        figures += deaf_viewer(yard, cookie, web)
    return figures


@contextmanager
def bench_web() -> Iterator[tuple[Parts, str]]:
    """A web process with the region of `fanout_app.py`, that ticks as fast as it can; and a session's cookie."""
    with Parts(["redis"]) as yard:
        yard.environment |= {"SWARMYARD_PUSH_TICK": "0.00025", "PYTHONPATH": str(PROJECT / "bench")}
        yard.start("web", "python -m daphne -v 0 -b 127.0.0.1 -p $SWARMYARD_PORT fanout_app:application")
        yield yard, "=".join(yard.ask(SESSION))


@dataclass
class Watched:
    seconds: float = 0.0
    memory_mb: float = 0.0
    cores: float = 0.0
    late_ms: list[float] = field(default_factory=list)


def watched(yard: Parts, cookie: str, count: int, seconds: float) -> Watched:
    """What `count` viewers get that read and acknowledge everything."""
    viewers = {peer.fileno(): (peer, bytearray()) for peer in (open_page(yard, cookie) for _ in range(count))}
    poll, found, web = select.epoll(), Watched(), yard.pid("web")
    for fd, (peer, _) in viewers.items():
        peer.setblocking(False)
        poll.register(fd, select.EPOLLIN)
        peer.send(text_message('{"show": ["bench"]}'))
    warm = time.monotonic() + 1.0
    begun = used = 0.0
    while not begun or time.monotonic() < begun + seconds:
        if not begun and time.monotonic() > warm:
            begun, used = time.monotonic(), cpu_seconds(web)
            found.late_ms.clear()
        for fd, _ in poll.poll(0.1):
            peer, heard = viewers[fd]
            data = peer.recv(262_144)
            if not data:
                raise RuntimeError("a viewer was dropped")
            heard += data
            take(peer, heard, found)
    found.seconds = time.monotonic() - begun
    found.cores = (cpu_seconds(web) - used) / found.seconds
    found.memory_mb = memory_mb(web, "Rss")
    poll.close()
    for peer, _ in viewers.values():
        peer.close()
    return found


def take(peer: socket.socket, heard: bytearray, found: Watched) -> None:
    """Counts and acknowledges the whole frames at the start of `heard`."""
    now = time.time()
    for frame, at in PULSE.findall(whole_messages(heard)):
        found.late_ms.append((now - float(at)) * 1000)
        peer.send(text_message(f'{{"ack": {int(frame)}}}'))


def whole_messages(data: bytearray) -> bytes:
    """What of `data` belongs to whole messages, headers included; it is taken out."""
    place = 0
    while len(data) >= place + 2:
        size, start = data[place + 1] & 0x7F, place + 2
        if size == 126:
            if len(data) < place + 4:
                break
            size, start = int.from_bytes(data[place + 2 : place + 4], "big"), place + 4
        if len(data) < start + size:
            break
        place = start + size
    taken = bytes(data[:place])
    del data[:place]
    return taken


def text_message(text: str) -> bytes:
    """A short text frame, masked with zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


def open_page(yard: Parts, cookie: str) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", yard.port), timeout=30)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key, host = base64.b64encode(os.urandom(16)).decode(), f"127.0.0.1:{yard.port}"
    peer.sendall(
        f"GET /ws/v1/console/ HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Cookie: {cookie}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"no websocket: {head[:80]!r}")
    return peer


def deaf_viewer(yard: Parts, cookie: str, web: int) -> list[Figure]:
    """A viewer that asks for everything and never reads, beside one that does."""
    before = memory_mb(web, "Rss")
    deaf = open_page(yard, cookie)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.send(text_message('{"show": ["bench"]}'))
    begun, most = time.monotonic(), before
    while not is_over(deaf) and time.monotonic() < begun + DROPPED_WITHIN:
        most = max(most, memory_mb(web, "Rss"))
        time.sleep(0.5)
    took = time.monotonic() - begun
    deaf.close()
    say(f"a viewer that never reads cost {most - before:.1f} MB and was dropped after {took:.0f} s")
    return [
        Figure("deaf_viewer_mb", most - before, "MB", 20.0, "lower"),
        Figure("deaf_viewer_dropped_s", took, "s", DROPPED_WITHIN, "lower"),
    ]


def into_the_dom(seconds: int) -> list[Figure]:
    """From an agent that sends a sample until a browser that shows that agent has counted it in, with a hundred others
    at work. The page counts the last minute, so all of a run that is shorter."""
    late = []
    with Parts(["redis", "gateway", "telemetry", "web"]) as yard, sync_playwright() as playwright:
        tokens = yard.agents(AGENTS + 1)
        crowd = Load(Websocket(yard.gateway_port, [token for _, token in tokens[1:]], (2, 3)), AGENTS)
        work = threading.Thread(target=crowd.run, args=(AGENTS * 4, seconds + 10), daemon=True)
        work.start()
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = browser.new_context()
        name, _, value = "=".join(yard.ask(SESSION)).partition("=")
        context.add_cookies([{"name": name, "value": value, "url": yard.address}])
        page = context.new_page()
        page.goto(f"{yard.address}/agents/{tokens[0][0]}/?window=1m")
        page.evaluate(WATCH)
        late = probes(yard, page, tokens[0][1], seconds)
        browser.close()
        work.join()
        crowd.close()
    p50, p95 = percentile(late, 0.5), percentile(late, 0.95)
    say(f"{len(late)} samples were seen in the DOM, p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    return [
        Figure("dom_p95_ms", p95, "ms", 400.0, "lower"),
        Figure("dom_p50_ms", p50, "ms", None, "lower"),
    ]


def probes(yard: Parts, page: Page, token: str, seconds: int) -> list[float]:
    """Milliseconds until each sample of one agent was seen; they leave at odd moments of the tick."""
    protocol, random = Websocket(yard.gateway_port, [token], (1,), seed=5), Random(5)
    peer, left = protocol.open(0), []
    ends = time.monotonic() + min(seconds, 50)
    while time.monotonic() < ends:
        for _ in range(len(protocol.made)):
            protocol.refresh()
        left.append(time.time())
        peer.send(protocol.message(0, len(left)))
        page.wait_for_timeout(random.uniform(500, 1_500))
    page.wait_for_timeout(5_000)
    peer.close()
    seen = page.evaluate("window.counted")
    late = [
        [at - sent * 1000 for count, at in seen if count >= number] for number, sent in enumerate(left, 1)
    ]
    missing = sum(not times for times in late)
    if missing:
        raise RuntimeError(f"{missing} of {len(left)} samples were never seen in the page")
    return [min(times) for times in late]


def is_over(peer: socket.socket) -> bool:
    """Whether the other side has ended it, told without reading: the kernel says so."""
    poll = select.poll()
    poll.register(peer, select.POLLRDHUP)
    return bool(poll.poll(0))


if __name__ == "__main__":
    main()
