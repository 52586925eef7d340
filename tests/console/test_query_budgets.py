"""Lists cost the same number of queries whatever their length."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.waves.models import WaveState
from tests.factories import make_event, make_host, make_member, make_repository, make_wave

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/waves/",
    "/waves/w1/",
    "/agents/",
    "/agents/?sort=p95",
    "/repositories/",
    "/hosts/",
    "/events/",
]


def fill(first: int, waves: int, agents: int) -> None:
    for number in range(first, first + waves):
        wave = make_wave(f"w{number}", size=agents, step_size=20)
        for _ in range(agents):
            make_member(wave)
        make_wave(f"w{number}00", state=WaveState.DONE)
        make_event(f"w{number} started")


def queries_of(client, page: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


@pytest.mark.parametrize("page", PAGES)
def test_it_asks_the_database_a_constant_number_of_times(operator, page):
    make_host()
    make_repository()
    fill(1, waves=2, agents=2)
    few = queries_of(operator, page)
    fill(3, waves=3, agents=32)

    many = queries_of(operator, page)

    assert many == few
    assert many <= 25
