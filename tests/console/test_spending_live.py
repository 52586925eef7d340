"""Spending moves in an open page, and costs little however many look."""

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.console import live
from apps.console.catalogue import REGIONS
from apps.console.moment import Moment
from apps.console.spending import renewed
from apps.console.spending.renewed import Renewed
from apps.events.domain.actor import Role
from apps.fleet.models import Agent
from tests.console.test_websocket import cookie_of, frame_with, run, socket
from tests.exposition.filling import measure
from tests.factories import make_host, make_member, make_wave, now


@pytest.fixture
def agent(db) -> Agent:
    make_host()
    return make_member(make_wave("w1"), cost_usd=0.25)


def regions_of(html: str) -> list[str]:
    return re.findall(r'data-region="([^"]+)"', html)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_an_open_page_is_told_what_agents_measure_and_print(viewer, redis_server, agent):
    cookie = cookie_of()
    html = viewer.get("/spending/").content.decode()
    assert "$0.25" in html

    async def scenario() -> None:
        connection = socket(cookie)
        await connection.connect(timeout=5)
        await connection.send_json_to({"show": regions_of(html)})
        await frame_with(connection, "$0.25")
        await sync_to_async(measure)(agent.pk, **{"tokens.input": 1_000.0, "cost_usd": 1.5})
        assert "1.0" in await frame_with(connection, "$1.50")
        await sync_to_async(Agent.objects.filter(pk=agent.pk).update)(cost_usd=2.75)
        await frame_with(connection, "$2.75")
        await connection.disconnect()

    run(scenario)


def test_a_page_that_is_loaded_shows_what_is_there_now(viewer, agent):
    for price in ("$3.50", "$4.50", "$5.50"):
        Agent.objects.filter(pk=agent.pk).update(cost_usd=float(price[1:]))

        assert price in viewer.get("/spending/").content.decode()


def test_pushes_in_short_order_look_at_all_agents_once(agent):
    shown = REGIONS["spending"].view({}, Role.VIEWER)
    live.render([shown], Moment(now()))

    with CaptureQueriesContext(connection) as queries:
        fragments, _ = live.render([shown], Moment(now()))

    assert "$0.25" in fragments[shown].html
    assert [query["sql"] for query in queries.captured_queries] == []


class Clock:
    """Each look takes so many seconds."""

    def __init__(self, takes: float = 0.0) -> None:
        self.now = 100.0
        self.takes = takes
        self.looks = 0

    def __call__(self) -> float:
        return self.now

    def look(self) -> int:
        self.looks += 1
        self.now += self.takes
        return self.looks


def test_it_is_looked_up_again_after_a_while():
    clock = Clock()
    shared = Renewed(clock.look, clock)

    assert [shared.recent(), shared.recent()] == [1, 1]
    clock.now += renewed.KEPT_SECONDS
    assert shared.recent() == 2


def test_it_is_looked_up_less_often_where_that_takes_long():
    clock = Clock(takes=1.0)
    shared = Renewed(clock.look, clock)
    shared.recent()

    clock.now += 0.9 / renewed.MOST_OF_TIME
    assert shared.recent() == 1
    clock.now += 0.1 / renewed.MOST_OF_TIME
    assert shared.recent() == 2


def test_who_wants_it_fresh_gets_it_and_so_do_those_who_come_next():
    clock = Clock()
    shared = Renewed(clock.look, clock)
    shared.recent()

    assert shared.fresh() == 2
    assert shared.recent() == 2


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_many_who_want_it_fresh_at_once_share_one_look(threads):
    times, looks, go_on = itertools.count(1), [], threading.Event()
    asked = []

    def clock() -> float:
        asked.append(next(times))
        return asked[-1]

    def look() -> int:
        looks.append(1)
        assert go_on.wait(30)
        return len(looks)

    shared = Renewed(look, clock)
    first = threads.submit(shared.fresh)
    until(lambda: looks)
    before = len(asked)
    others = [threads.submit(shared.fresh) for _ in range(7)]
    until(lambda: len(asked) == before + 7)
    go_on.set()

    assert first.result(30) == 1
    assert {other.result(30) for other in others} == {2}  # the first one's look began before they asked


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_look_that_fails_is_tried_again():
    answers = iter([ValueError("the database is away"), 7])

    def look() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    shared = Renewed(look)
    with pytest.raises(ValueError, match="away"):
        shared.recent()

    assert shared.recent() == 7
