"""Messages to a real server: one that takes them, hangs, fails, or leads to a private address."""

import os
import socket
import time

import pytest
import requests

from apps.alerts import sending
from apps.alerts.domain.addresses import BadAddress, networks
from apps.alerts.guard import PrivateAddress, public_only
from apps.alerts.sending import NotSent, check_address, open_service, send
from tests.alerts.webhooks import free_port, running

LOOPBACK = networks(["127.0.0.1"])
MESSAGE = {"title": "[warning] Slow", "body": "Slow: the yard", "severity": "warning"}


@pytest.fixture
def hook():
    with running() as hook:
        yield hook


def test_it_sends(hook):
    send(hook.url, **MESSAGE, allowed=LOOPBACK)

    (got,) = hook.got
    assert (got["title"], got["message"], got["type"]) == ("[warning] Slow", "Slow: the yard", "warning")


@pytest.mark.parametrize("status", [500, 503, 404])
def test_a_server_that_refuses_is_told_with_its_reason(hook, status):
    hook.status = status

    with pytest.raises(NotSent, match=str(status)) as refusal:
        send(hook.url, **MESSAGE, allowed=LOOPBACK)

    assert "/hook" not in str(refusal.value)


def test_a_server_that_hangs_is_given_up(hook, monkeypatch):
    monkeypatch.setattr(sending, "READ_SECONDS", 0.5)
    hook.status = 0
    started = time.monotonic()

    with pytest.raises(NotSent):
        send(hook.url + "?rto=50&cto=50&retry=9", **MESSAGE, allowed=LOOPBACK)

    assert time.monotonic() - started < 20
    assert hook.asked == 1


def test_nobody_there_is_told():
    with pytest.raises(NotSent):
        send(f"json://127.0.0.1:{free_port()}/", **MESSAGE, allowed=LOOPBACK)


def test_a_private_address_is_refused_unless_its_network_is_allowed(hook):
    with pytest.raises(PrivateAddress, match=r"127\.0\.0\.1 is a private address"):
        send(hook.url, **MESSAGE, allowed=[])

    assert hook.asked == 0


@pytest.mark.parametrize("name", ["localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_name_for_a_private_address_is_refused(hook, name):
    port = hook.server.server_address[1]

    with pytest.raises((PrivateAddress, BadAddress, NotSent)):
        send(f"json://{name}:{port}/hook", **MESSAGE, allowed=[])

    assert hook.asked == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("wish", ["", "?redirect=yes"])
def test_a_redirect_to_a_private_address_is_not_followed(hook, status, wish):
    with running("127.0.0.2") as inside:
        hook.status, hook.location = status, inside.http

        with pytest.raises(NotSent, match=str(status)):
            send(hook.url + wish, **MESSAGE, allowed=LOOPBACK)

        assert (hook.asked, inside.asked) == (1, 0)


def test_the_guard_holds_also_for_who_follows_redirects(hook):
    """Whatever Apprise or a plugin of it may do some day."""
    with running("127.0.0.2") as inside:
        hook.status, hook.location = 307, inside.http

        with public_only(LOOPBACK), pytest.raises(PrivateAddress, match=r"127\.0\.0\.2"):
            requests.post(hook.http, json={}, timeout=10)

        assert inside.asked == 0


def test_a_mail_server_at_a_private_address_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mailto://ada:secret@example.org:{server.getsockname()[1]}?smtp=127.0.0.1&mode=insecure"

        with pytest.raises(PrivateAddress):
            send(url, **MESSAGE, allowed=[])

        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_proxy_of_the_environment_is_not_asked_to_connect_for_us(hook, monkeypatch):
    with running("127.0.0.1") as proxy:
        monkeypatch.setenv("http_proxy", proxy.http)
        monkeypatch.setenv("no_proxy", "example.org")

        send(hook.url, **MESSAGE, allowed=LOOPBACK)

        assert (hook.asked, proxy.asked) == (1, 0)
    assert os.environ["no_proxy"] == "example.org"


def test_outside_of_the_guard_everything_is_as_before(hook):
    with public_only([]):
        pass

    assert requests.post(hook.http, json={}, timeout=10).status_code == 200


def test_a_unix_socket_is_no_address_of_a_network(tmp_path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()

        with public_only([]):
            client.connect(str(tmp_path / "s"))


@pytest.mark.parametrize("url", ["slack://x", "tgram://", "discord://only-one-part", "exec://rm%20-rf"])
def test_an_address_that_apprise_does_not_understand_is_refused(url):
    with pytest.raises(BadAddress):
        check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "jsons://example.org/hook",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
        "mailtos://ada:secret@example.org",
        "ntfys://ntfy.sh/topic",
        "gotifys://example.org/token1234567",
        "matrixs://ada:secret@example.org/#room",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    ],
)
def test_addresses_of_every_day_are_understood(url):
    assert check_address(url) == url.partition("://")[0]
    assert open_service(url).redirects is False
