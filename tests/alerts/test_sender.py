"""A message has an end, whatever the other side does: it is sent by a process that is bounded in time and memory."""

import time

import pytest

from apps.alerts import sender
from apps.alerts.actions.deliver import JOB_SECONDS
from apps.alerts.domain.addresses import BadAddress, networks
from apps.alerts.guard import PrivateAddress
from apps.alerts.sender import send_apart
from apps.alerts.sending import NotSent
from apps.lib.process import TERM_GRACE
from tests.alerts.webhooks import running

LOOPBACK = networks(["127.0.0.1"])
MESSAGE = {"title": "[warning] Slow", "body": "“Slow”: the yard", "severity": "warning"}


@pytest.fixture
def hook():
    with running() as hook:
        yield hook


def test_it_sends(hook):
    send_apart(hook.url, **MESSAGE, allowed=LOOPBACK)

    (got,) = hook.got
    assert (got["title"], got["message"], got["type"]) == ("[warning] Slow", "“Slow”: the yard", "warning")


def test_what_went_wrong_there_is_told_here(hook):
    hook.status = 503

    with pytest.raises(NotSent, match="503"):
        send_apart(hook.url, **MESSAGE, allowed=LOOPBACK)
    with pytest.raises(PrivateAddress, match=r"127\.0\.0\.1 is a private address.*SWARMYARD_ALERT_NETWORKS"):
        send_apart(hook.url, **MESSAGE, allowed=[])
    with pytest.raises(BadAddress, match="Apprise doesn't understand"):
        send_apart("slack://x", **MESSAGE, allowed=[])

    assert hook.asked == 1


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end_is_given_up_and_not_held(hook, status):
    hook.status, hook.piece = status, b"x" * 1024 * 1024

    with pytest.raises(NotSent, match="more than is read"):
        send_apart(hook.url, **MESSAGE, allowed=LOOPBACK)

    assert hook.sent < 2 * sender.MORE_BYTES


@pytest.mark.slow
def test_an_answer_that_drips_is_given_up(hook, monkeypatch):
    """Each byte comes in time: no time limit of a single read ever sees that anything is wrong."""
    monkeypatch.setattr(sender, "SECONDS", 10.0)
    hook.piece, hook.pause = b"x", 0.2
    started = time.monotonic()

    with pytest.raises(NotSent, match="longer than 10 s"):
        send_apart(hook.url, **MESSAGE, allowed=LOOPBACK)

    assert time.monotonic() - started < JOB_SECONDS
    assert hook.sent > 0


def test_it_gives_up_before_its_job_is_ended():
    assert sender.SECONDS + TERM_GRACE + 5 < JOB_SECONDS
