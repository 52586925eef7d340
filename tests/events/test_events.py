"""Events are facts: written with what they tell of, never changed, safe to show."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from apps.events import actions
from apps.events.actions import Fact, record, record_all
from apps.events.counts import EventCounts
from apps.events.domain.actor import YARD, Actor, Role
from apps.events.models import Event

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
OLGA = Actor("user", "olga", Role.OPERATOR)


def fact(**overrides):
    fields = {
        "kind": "agent.started",
        "actor": YARD,
        "text": "w1/agent-01 started",
        "topic": "agent",
        "subject_id": 7,
    }
    return Fact(**(fields | overrides))


def test_it_keeps_who_did_what_to_whom():
    record(fact(actor=OLGA, subject="w1/agent-01", data={"epoch": 2}))

    event = Event.objects.get()
    assert (event.kind, event.actor_kind, event.actor) == ("agent.started", "user", "olga")
    assert (event.topic, event.subject_id, event.subject) == ("agent", 7, "w1/agent-01")
    assert event.data == {"epoch": 2}


def test_they_are_kept_in_their_order():
    record_all(fact(text=str(number)) for number in range(5))

    assert [event.text for event in Event.objects.newest_first()] == ["4", "3", "2", "1", "0"]


def test_a_fact_that_did_not_come_true_leaves_no_event():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(fact())
        _ = 1 / 0

    assert not Event.objects.exists()


def test_it_cannot_be_changed():
    record(fact())
    event = Event.objects.get()

    event.text = "nothing happened"
    with pytest.raises(TypeError, match="a fact"):
        event.save()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("two\nlines\tand\0nul", "two lines and nul"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # templates escape it
        ("left\u202eright", "left right"),
        ("half \ud800", "half"),
    ],
)
def test_what_it_quotes_is_made_plain(text, kept):
    record(fact(text=text, subject=text, actor=Actor("agent", text, Role.VIEWER)))

    event = Event.objects.get()
    assert (event.text, event.subject, event.actor) == (kept, kept, kept)


def test_what_it_quotes_is_cut():
    record(fact(text="x" * 100_000, subject="x" * 100_000, actor=Actor("user", "x" * 1000, Role.VIEWER)))

    event = Event.objects.get()
    assert (len(event.text), len(event.subject), len(event.actor)) == (500, 200, 150)


def test_each_subject_gets_one_hint_after_the_commit(monkeypatch):
    sent = []
    monkeypatch.setattr(actions, "publish_on_commit", lambda topic, pk: sent.append((topic, pk)))

    record_all([fact(), fact(kind="agent.exited"), fact(subject_id=8), fact(topic="", subject_id=None)])

    assert sorted(sent) == [("agent", 7), ("agent", 8)]


def test_what_was_forgotten_still_counts(settings):
    record_all([fact(), fact(), fact(kind="wave.started")])
    Event.objects.update(at=NOW - timedelta(days=100))
    counts = EventCounts()
    before = counts.read(NOW)

    assert actions.forget_old_events(now=NOW, limit=2) == 2
    assert actions.forget_old_events(now=NOW, limit=2) == 1

    assert Event.objects.count() == 0
    assert before == counts.read(NOW) == EventCounts().read(NOW) == {"agent.started": 2, "wave.started": 1}


def test_what_happened_since_is_added_whatever_its_age():
    counts = EventCounts()
    record(fact())
    assert counts.read(NOW) == {"agent.started": 1}
    Event.objects.update(at=NOW - timedelta(hours=1))
    assert counts.read(NOW) == {"agent.started": 1}

    record(fact(kind="wave.started"))

    assert counts.read(NOW) == {"agent.started": 1, "wave.started": 1}


def test_a_young_event_whose_number_is_older_counts_once_it_is_there():
    record_all([fact(), fact()])
    late = Event.objects.first()
    Event.objects.filter(pk=late.pk).delete()  # as if its transaction weren't committed yet
    counts = EventCounts()
    counts.read(NOW)

    Event.objects.bulk_create(
        [Event(pk=late.pk, kind="agent.started", actor_kind="yard", actor="yard", text="late")]
    )

    assert counts.read(NOW) == {"agent.started": 2}
