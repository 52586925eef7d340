"""The push in the web process, without a browser: who is sent what, and when."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import pytest
from asgiref.sync import sync_to_async

from apps.console import live
from apps.console.catalogue import REGIONS
from apps.console.live import DROP_AFTER, Pusher, Viewer
from apps.events.domain.actor import Role
from apps.events.hints import Hint
from apps.fleet.models import Agent
from apps.lib.redis import connection
from apps.telemetry.pace import WATCHED
from tests.factories import make_host, make_member, make_wave

pytestmark = pytest.mark.django_db(transaction=True)


class Page:
    """An open page: keeps the frames that it was sent."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.closed: list[int] = []
        self.viewer = Viewer(self.take, self.end)

    async def take(self, text: str) -> None:
        self.frames.append(text)

    async def end(self, code: int) -> None:
        self.closed.append(code)

    def acknowledge(self) -> None:
        self.viewer.acknowledge(self.viewer.frame)


def view(name: str, **query: str):
    return REGIONS[name].view(query, Role.OPERATOR)


def run(scenario: Callable[[Pusher], Awaitable[None]]) -> None:
    """Plays a scenario on a pusher that turns only when it is told to."""

    async def play() -> None:
        pusher = Pusher()
        try:
            await scenario(pusher)
        finally:
            for viewer in list(pusher.viewers):
                pusher.leave(viewer)
            pusher._thread.submit(live.connections.close_all)
            pusher._thread.shutdown()
            await sync_to_async(live.connections.close_all)()

    asyncio.run(play())


def opened(pusher: Pusher, *views) -> Page:
    page = Page()
    pusher.viewers.add(page.viewer)
    assert pusher.show(page.viewer, views)
    return page


@sync_to_async
def change(pk: int, activity: str) -> None:
    Agent.objects.filter(pk=pk).update(activity=activity)


@pytest.fixture
def agents():
    make_host()
    wave = make_wave("w1")
    return [make_member(wave).pk for _ in range(3)]


def test_it_catches_a_new_page_up_and_then_sends_changes_alone(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        page.acknowledge()
        await change(agents[1], "committing")
        pusher.stale.add(view("yard_waves"))
        await pusher.turn()

        assert 'id="yard_waves"' in page.frames[0]
        assert 'id="yard_waves"' not in page.frames[1]
        assert re.findall(r'<tr id="agent-(\d+)"', page.frames[1]) == [str(agents[1])]

    run(scenario)


def test_it_wraps_rows_in_a_table_as_browsers_drop_them_otherwise(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        page.acknowledge()
        await change(agents[0], "committing")
        pusher.stale.add(view("yard_waves"))
        await pusher.turn()

        assert re.search(
            r"<table data-rows><tbody><tr .*</tr>\s*</tbody></table>$", page.frames[1].strip(), re.DOTALL
        )

    run(scenario)


def test_it_sends_nothing_more_until_the_page_acknowledged_and_then_only_the_newest(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        for number in range(5):
            await change(agents[0], f"step {number}")
            pusher.stale.add(view("yard_waves"))
            await pusher.turn()
        assert len(page.frames) == 1

        page.acknowledge()
        await pusher.turn()

        assert len(page.frames) == 2
        assert "step 4" in page.frames[1]
        assert "step 3" not in page.frames[1]

    run(scenario)


def test_it_ignores_the_acknowledgement_of_an_older_frame(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("menu"))
        await pusher.turn()
        page.viewer.acknowledge(page.viewer.frame - 1)

        assert not page.viewer.is_ready

    run(scenario)


def test_it_lets_a_slow_page_hold_up_nobody_else(agents):
    async def scenario(pusher: Pusher) -> None:
        slow, quick = opened(pusher, view("yard_waves")), opened(pusher, view("yard_waves"))
        for number in range(3):
            await change(agents[0], f"step {number}")
            pusher.stale.add(view("yard_waves"))
            await pusher.turn()
            quick.acknowledge()

        assert len(slow.frames) == 1
        assert len(quick.frames) == 3

    run(scenario)


def test_it_drops_a_page_that_was_silent_for_long(agents):
    async def scenario(pusher: Pusher) -> None:
        page, other = opened(pusher, view("menu")), opened(pusher, view("menu"))
        await pusher.turn()
        other.acknowledge()
        page.viewer.waiting_since = time.monotonic() - DROP_AFTER - 1
        await pusher.turn()

        assert page.closed == [3013]
        assert other.closed == []
        assert pusher.viewers == {other.viewer}

    run(scenario)


def test_it_renders_a_view_once_for_all_who_show_it(agents, monkeypatch):
    rendered = []
    real = live.render
    monkeypatch.setattr(live, "render", lambda views, moment: rendered.extend(views) or real(views, moment))

    async def scenario(pusher: Pusher) -> None:
        pages = [opened(pusher, view("yard_waves"), view("menu", at="yard")) for _ in range(20)]
        await pusher.turn()

        assert sorted(shown.region for shown in rendered) == ["menu", "yard_waves"]
        assert all(len(page.frames) == 1 for page in pages)

    run(scenario)


def test_it_pauses_a_page_and_catches_it_up_when_it_goes_on(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        page.acknowledge()
        page.viewer.paused = True
        await change(agents[0], "while you were away")
        await pusher.turn()
        assert len(page.frames) == 1

        pusher.resume(page.viewer)
        pusher.rendered_at.clear()  # a tick later
        await pusher.turn()

        assert "while you were away" in page.frames[1]

    run(scenario)


def test_it_renders_again_only_what_a_hint_concerns(agents):
    async def scenario(pusher: Pusher) -> None:
        opened(pusher, view("yard_numbers"), view("yard_finished"), view("yard_numbers", window="1m"))
        await pusher.turn()
        pusher.take_hints([Hint("telemetry", 300)])
        assert pusher.stale == {view("yard_numbers")}

        pusher.take_hints([])

        assert pusher.stale == {
            view("yard_numbers"),
            view("yard_finished"),
            view("yard_numbers", window="1m"),
        }

    run(scenario)


def test_new_counts_concern_those_who_show_counts_and_nothing_is_read_anew_for_them(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_numbers"), view("yard_waves"))
        await pusher.turn()
        page.acknowledge()
        rows = vars(pusher.moment)["state_counts"]
        pusher.take_hints([Hint("counts", 0)])
        assert (pusher.stale, pusher.counting) == (set(), {view("yard_numbers")})

        await pusher.turn()
        page.acknowledge()
        assert pusher.counting == set()
        assert vars(pusher.moment)["state_counts"] is rows

        pusher.take_hints([Hint("counts", 0), Hint("agent", agents[0])])
        assert pusher.stale == {view("yard_numbers"), view("yard_waves")}
        await pusher.turn()
        assert vars(pusher.moment)["state_counts"] is not rows

    run(scenario)


def test_views_that_only_had_new_counts_are_read_anew_when_their_time_has_come(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_numbers"))
        await pusher.turn()
        page.acknowledge()
        rendered_at = dict(pusher.rendered_at)
        pusher.take_hints([Hint("counts", 0)])
        await pusher.turn()

        assert pusher.rendered_at == rendered_at

    run(scenario)


def test_it_bounds_the_number_of_views(agents):
    async def scenario(pusher: Pusher) -> None:
        for number in range(live.MAX_VIEWS):
            opened(pusher, view("agents_table", q=f"text {number}"))
        late, same = Page(), Page()
        pusher.viewers |= {late.viewer, same.viewer}

        assert not pusher.show(late.viewer, [view("agents_table", q="one more")])
        assert pusher.show(same.viewer, [view("agents_table", q="text 1")])

    run(scenario)


def test_it_forgets_views_that_nobody_shows_any_more(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        page.acknowledge()
        pusher.show(page.viewer, [view("menu")])
        await pusher.turn()

        assert set(pusher.fragments) == {view("menu")}

    run(scenario)


def test_it_keeps_other_regions_alive_when_one_fails(agents, monkeypatch):
    def broken(shown, moment):
        raise RuntimeError("a bug")

    monkeypatch.setitem(REGIONS, "hosts_list", live.REGIONS["hosts_list"].__class__("hosts_list", broken))

    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("hosts_list"), view("menu"))
        await pusher.turn()

        assert 'id="menu"' in page.frames[0]

    run(scenario)


def test_it_carries_tick_and_time_in_each_frame(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("menu"))
        before = time.time()
        await pusher.turn()

        found = re.search(
            r'data-frame="(\d+)" data-tick="(\d+)" data-tick-at="([\d.]+)" data-sent-at="([\d.]+)"',
            page.frames[0],
        )
        assert found
        assert int(found[1]) == page.viewer.frame
        assert found[2] == "1"
        assert before - 0.01 <= float(found[3]) <= float(found[4]) <= time.time() + 0.01

    run(scenario)


def test_an_acknowledgement_that_was_guessed_counts_for_nothing(agents):
    async def scenario(pusher: Pusher) -> None:
        page = opened(pusher, view("yard_waves"))
        await pusher.turn()
        for guess in range(10_000):
            page.viewer.acknowledge(guess)
        await pusher.turn()
        assert len(page.frames) == 1

        page.acknowledge()
        await pusher.turn()
        assert len(page.frames) == 2

    run(scenario)


def test_it_says_that_somebody_looks_and_not_when_nobody_does(redis_server):
    async def scenario(pusher: Pusher) -> None:
        page = Page()
        pusher.join(page.viewer)
        page.viewer.paused = True
        await pusher.turn()
        await sync_to_async(wait_for_the_thread)(pusher)
        assert not connection().exists(WATCHED)

        page.viewer.paused = False
        pusher.show(page.viewer, [view("menu")])
        await pusher.turn()
        await sync_to_async(wait_for_the_thread)(pusher)
        assert connection().exists(WATCHED)

    run(scenario)


def wait_for_the_thread(pusher: Pusher) -> None:
    pusher._thread.submit(int).result(10)
