"""What is over is removed after a time, and nothing else is."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from apps.access.models import SignInLink
from apps.events.models import Event
from apps.fleet.models import State
from apps.scheduler import tidy as tidying
from apps.scheduler.tidy import EVERY_SECONDS, SOON_SECONDS, tidy
from tests.fleet.factories import make_agent

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    settings.SWARMYARD_HOME = tmp_path
    return tmp_path


def add_event(days, text="something happened"):
    event = Event.objects.create(kind="test", actor_kind="yard", actor="yard", text=text)
    Event.objects.filter(pk=event.pk).update(at=NOW - timedelta(days=days))


def test_events_are_kept_for_ninety_days():
    add_event(91, "long ago")
    add_event(89, "lately")

    tidy(NOW)

    assert [event.text for event in Event.objects.all()] == ["lately"]


@pytest.mark.parametrize(
    ("days", "left"), [(30, ["20 days"]), (10, []), (0, []), (-5, []), (10**9, ["40 days", "20 days"])]
)
def test_events_are_kept_as_long_as_the_operator_wants_but_never_less_than_a_day(days, left, settings):
    settings.EVENTS_KEPT_DAYS = days
    add_event(40, "40 days")
    add_event(20, "20 days")
    add_event(0, "today")

    tidy(NOW)

    assert [event.text for event in Event.objects.order_by("at")] == [*left, "today"]


def test_of_each_agent_the_runs_of_its_last_three_starts_are_kept(home):
    outside = home / "outside"
    outside.mkdir()
    (outside / "file").touch()
    agent, young = make_agent(epoch=5, state=State.BUSY), make_agent(epoch=2)
    for owner, epochs in ((agent, range(1, 6)), (young, range(1, 3))):
        for epoch in epochs:
            run = home / "runs" / str(owner.pk) / str(epoch)
            run.mkdir(parents=True)
            (run / "log").touch()
    (home / "runs" / str(agent.pk) / "1" / "link").symlink_to(outside)
    (home / "runs" / str(agent.pk) / "note").mkdir()
    unknown = home / "runs" / "99999" / "1"
    unknown.mkdir(parents=True)

    tidy(NOW)

    names = {path.name for path in (home / "runs" / str(agent.pk)).iterdir()}
    assert names == {"3", "4", "5", "note"}
    assert len(list((home / "runs" / str(young.pk)).iterdir())) == 2
    assert (outside / "file").exists()
    assert unknown.exists()


def test_links_and_sessions_that_expired_are_removed():
    user = get_user_model().objects.create(username="olga")
    for name, minutes in (("old", -1), ("new", 1)):
        moment = NOW + timedelta(minutes=minutes)
        SignInLink.objects.create(user=user, token_hash=name, expires_at=moment)
        Session.objects.create(session_key=name, session_data="", expire_date=moment)

    tidy(NOW)

    assert SignInLink.objects.get().token_hash == "new"
    assert Session.objects.get().session_key == "new"


def test_it_is_done_once_an_hour():
    tidy(NOW)
    add_event(91)

    tidy(NOW + timedelta(seconds=EVERY_SECONDS - 1))
    assert Event.objects.exists()
    tidy(NOW + timedelta(seconds=EVERY_SECONDS))
    assert not Event.objects.exists()


def test_of_much_a_part_is_removed_at_a_time_and_the_rest_soon(monkeypatch):
    monkeypatch.setattr(tidying, "AT_A_TIME", 2)
    for _ in range(5):
        add_event(91)

    counts = []
    for round_number in range(3):
        tidy(NOW + timedelta(seconds=SOON_SECONDS * round_number))
        counts.append(Event.objects.count())

    assert counts == [3, 1, 0]


def test_a_part_that_fails_does_not_keep_the_others(monkeypatch, caplog):
    def broken(now):
        raise OSError("no such disk")

    monkeypatch.setattr(tidying, "PARTS", (broken, *tidying.PARTS))
    add_event(91)

    tidy(NOW)

    assert not Event.objects.exists()
    assert "broken failed" in caplog.text
