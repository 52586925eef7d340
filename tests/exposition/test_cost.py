"""A scrape asks the database a number of times that doesn't depend on how much there is."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.exposition.scrape import scrape
from tests.exposition.filling import fill, publish_figures, report
from tests.factories import make_event, make_host, make_member, make_wave, now

pytestmark = pytest.mark.django_db

MOST = 21
LONG_TEXTS = ('"prompt"', '"command"', '"equipment"')


def asked() -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        scrape(now())
    return [query["sql"] for query in queries.captured_queries]


def test_it_asks_the_database_a_constant_number_of_times(redis_server, queues):
    publish_figures(fill(agents=1))
    asked()  # the first one counts all events
    few = asked()
    for number in range(5):
        make_host(f"host-{number}")
        make_event()
    fill_more()

    many = asked()

    assert len(many) == len(few) <= MOST


def fill_more() -> None:
    for number in range(2, 8):
        wave = make_wave(f"w{number}")
        report(*(make_member(wave).pk for _ in range(10)), wave=wave.label)


def test_it_leaves_long_texts_in_the_database(redis_server):
    fill(agents=2)

    assert [sql for sql in asked() for text in LONG_TEXTS if text in sql] == []


def test_it_counts_old_events_once(redis_server):
    for _ in range(5):
        make_event()
    first = asked()

    second = asked()

    assert len(second) <= len(first)
    assert sum("UNION" in sql for sql in first) == 1
    assert sum("UNION" in sql for sql in second) == 0
