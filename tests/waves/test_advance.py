"""Rounds of a wave: steps, gate, admission, preparations that got lost, and its end."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.events.models import Event
from apps.fleet.models import Agent, Host, State
from apps.waves import advance
from apps.waves.models import Member, Wave
from apps.waves.preparation import QUEUE_SECONDS
from apps.waves.queries import progress

from .starting import MB, make_host


def released(waves, wave):
    return list(waves.agents(wave).filter(desired="running").order_by("pk").values_list("name", flat=True))


def test_it_goes_step_by_step_to_its_end(waves):
    wave = waves.start(agents=5, step_size=2)

    waves.make_ready(wave)
    assert released(waves, wave) == ["w1/agent-01", "w1/agent-02"]
    assert wave.waiting_for == ""

    waves.tick(wave)
    assert wave.waiting_for == "step 1 to come up"
    waves.come_up(wave)
    assert len(released(waves, wave)) == 4
    waves.come_up(wave)
    waves.come_up(wave)
    assert waves.states(wave) == ["busy busy", "busy busy", "busy"]

    waves.ended(wave)
    assert (wave.state, wave.waiting_for) == ("done", "")
    assert wave.ended_at
    assert waves.kinds(wave) == ["wave.started", "wave.done"]
    assert Event.objects.get(kind="wave.done").text == "w1 done: 5 ended well, 0 stopped, 0 failed, 0 lost"


def test_a_round_too_many_changes_nothing(waves):
    wave = waves.start(step_size=2)
    waves.make_ready(wave)
    before = (list(Agent.objects.values()), list(Member.objects.values()), Event.objects.count())

    for _ in range(3):
        waves.tick(wave)

    assert before == (list(Agent.objects.values()), list(Member.objects.values()), Event.objects.count())


def test_a_wave_of_which_none_ended_well_has_failed(waves):
    wave = waves.running()

    waves.ended(wave, State.FAILED, exit_code=1)

    assert wave.state == "failed"
    assert wave.reason == "0 ended well, 0 stopped, 4 failed, 0 lost"


def test_a_wave_of_which_most_failed_has_failed_and_says_the_counts(waves):
    wave = waves.start(agents=6, step_size=0)
    waves.make_ready(wave)
    waves.come_up(wave)
    ends = [("exited", "running"), ("exited", "stopped"), ("failed", "running"), ("lost", "running")]
    for number, (state, desired) in enumerate([*ends, ("failed", "running"), ("exited", "killed")], start=1):
        waves.agents(wave).filter(member__number=number).update(state=state, desired=desired)

    waves.tick(wave)

    assert (wave.state, wave.reason) == ("failed", "1 ended well, 2 stopped, 2 failed, 1 lost")
    event = Event.objects.get(kind="wave.failed")
    assert event.text == "w1 failed: 1 ended well, 2 stopped, 2 failed, 1 lost"
    assert event.data == {"well": 1, "stopped": 2, "failed": 2, "lost": 1}
    waves.do("scale", wave, size=7)
    wave.refresh_from_db()
    assert (wave.state, wave.reason) == ("running", "")


def test_one_that_comes_back_keeps_it_open(waves):
    wave = waves.running()
    waves.ended(wave, State.LOST, restart_at=waves.now() + timedelta(seconds=2))

    assert wave.state == "running"


def test_the_pause_between_steps_is_kept(waves):
    wave = waves.start(agents=2, step_size=1, pause_ms=5000)
    waves.come_up(waves.make_ready(wave))
    assert wave.waiting_for == "the pause between steps"

    waves.ahead += timedelta(seconds=6)
    waves.tick(wave)
    assert len(released(waves, wave)) == 2


def test_a_sick_step_pauses_the_wave_and_leaves_the_others_alone(waves):
    wave = waves.start(agents=8, step_size=4)
    waves.make_ready(wave)
    waves.come_up(wave)
    waves.agents(wave).filter(member__number__lte=3).update(state=State.FAILED, first_seen_at=None)
    waves.agents(wave).filter(member__step=1).update(desired="held", state=State.READY)

    waves.tick(wave)

    assert wave.state == "paused"
    assert wave.reason == "step 1 failed its health gate: 3 of 4 agents never came up or failed at once"
    assert waves.agents(wave).get(member__number=4).desired == "running"
    assert waves.kinds(wave) == ["wave.started", "wave.held"]
    event = Event.objects.get(kind="wave.held")
    assert (event.actor_kind, event.actor) == ("yard", "yard")

    waves.do("resume", wave)
    waves.tick(wave)
    assert wave.state == "running"
    assert waves.agents(wave).filter(member__step=1, desired="running").count() == 4


@pytest.mark.parametrize(
    ("seconds", "state", "held"),
    [(0, "failed", True), (4, "lost", True), (6, "failed", False), (0, "exited", False)],
)
def test_commands_that_fail_at_once_hold_the_next_step(waves, seconds, state, held):
    wave = waves.start(agents=4, step_size=2)
    waves.make_ready(wave)
    ended = {"first_seen_at": waves.now(), "ended_at": waves.now() + timedelta(seconds=seconds)}
    waves.agents(wave).filter(desired="running").update(state=state, **ended)

    waves.tick(wave)

    assert len(released(waves, wave)) == (2 if held else 4)
    assert wave.reason == (
        "step 1 failed its health gate: 2 of 2 agents never came up or failed at once" if held else ""
    )


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ({"memory_available": 1_500 * MB}, "local: memory: 400 MB wanted, 188 MB left to promise"),
        ({"memory_pressure": 60.0}, "local: memory pressure is 60 %"),
        ({"disk_free": 100 * MB}, "local: disk: 100 MB free"),
        ({"memory_available": None}, "local: the host's first reading"),
    ],
)
def test_it_waits_for_what_a_host_lacks_and_says_so(waves, host, told):
    wave = waves.start(agents=4, step_size=0, memory_budget_mb=400)
    waves.make_ready(wave)
    waves.agents(wave).update(desired="held")
    Host.objects.update(**host)

    waves.tick(wave)

    room = 2 if host == {"memory_available": 1_500 * MB} else 0
    assert len(released(waves, wave)) == room
    assert wave.waiting_for.startswith(told)

    Host.objects.update(memory_available=64_000 * MB, memory_pressure=0.0, disk_free=500_000 * MB)
    waves.tick(wave)
    assert len(released(waves, wave)) == 4
    assert wave.waiting_for == ""


def test_two_waves_are_not_promised_the_same_memory(waves):
    Host.objects.update(memory_available=(512 + 1_000) * MB)
    first, second = (waves.start(agents=2, step_size=0, memory_budget_mb=400) for _ in range(2))

    for wave in (first, second):
        waves.make_ready(wave)

    assert len(released(waves, first)) == 2
    assert released(waves, second) == []
    assert "memory" in second.waiting_for


def test_a_host_that_fell_silent_gets_no_new_agents(waves):
    wave = waves.start(step_size=0)
    waves.make_ready(wave)
    waves.agents(wave).update(desired="held")
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))

    advance.advance_wave(wave.pk, timezone.now())

    wave.refresh_from_db()
    assert released(waves, wave) == []
    assert wave.waiting_for == "host local, which doesn't answer: is `runhost` running there?"


def test_no_checkouts_are_made_where_the_disk_is_nearly_full(waves):
    make_host("second")
    wave = waves.start(agents=4, step_size=0)
    Host.objects.filter(name="local").update(disk_free=100 * MB)

    waves.tick(wave)

    assert [queue for queue, _ in waves.jobs] == ["host.second"]
    assert waves.states(wave) == ["planned preparing planned preparing"]
    assert wave.waiting_for.startswith("local: disk: 100 MB free")

    Host.objects.update(disk_free=500_000 * MB)
    waves.tick(wave)
    assert waves.states(wave) == ["preparing preparing preparing preparing"]


@pytest.fixture
def room(settings):
    """Disk that is free beyond the reserve, in bytes; logs take next to nothing."""
    settings.MIN_FREE_DISK_MB, settings.AGENT_LOG_SEGMENT_BYTES = 1, 500

    def set_room(size):
        Host.objects.update(disk_free=MB + size)

    return set_room


def checkout_bytes(waves, wave):
    return waves.agents(wave).values_list("checkout_bytes", flat=True).first()


def test_no_more_checkouts_are_made_than_the_disk_has_room_for(waves, room):
    wave = waves.start(agents=4, step_size=0)
    size = checkout_bytes(waves, wave)
    room(2 * (size + 1_000))

    waves.tick(wave)

    assert waves.states(wave) == ["preparing preparing planned planned"]
    assert wave.waiting_for.startswith("local: disk: ")
    waves.tick(wave)  # those under way still count
    assert waves.states(wave) == ["preparing preparing planned planned"]

    room(2 * 1_000)  # as the host reads it when they are made
    waves.prepare()
    assert waves.states(wave) == ["ready ready planned planned"]
    room(2 * (size + 1_000) + 2 * 1_000)  # the first two may start, and fill their logs
    waves.tick(wave)
    assert waves.states(wave) == ["ready ready preparing preparing"]


def test_two_waves_are_not_promised_the_same_disk(waves, room):
    first, second = (waves.start(agents=2, step_size=0) for _ in range(2))
    room(3 * (checkout_bytes(waves, first) + 1_000))

    for wave in (first, second):
        waves.tick(wave)

    assert waves.states(first) == ["preparing preparing"]
    assert waves.states(second) == ["preparing planned"]
    assert second.waiting_for.startswith("local: disk: ")


def test_what_a_log_may_take_is_kept_free_for_it(waves, room):
    wave = waves.start(agents=4, step_size=0)
    waves.make_ready(wave)
    waves.agents(wave).update(desired="held")
    room(2_500)

    waves.tick(wave)

    assert len(released(waves, wave)) == 2
    assert wave.waiting_for.startswith("local: disk: ")

    room(1_500)
    waves.come_up(wave, output_offset=800)  # most of theirs is on the disk already
    assert len(released(waves, wave)) == 3


def test_preparation_keeps_a_bounded_distance_ahead(waves):
    wave = waves.start(agents=100, step_size=5)

    waves.tick(wave)

    assert waves.agents(wave).filter(state=State.PREPARING).count() == 60
    assert [len(attempts) for _, attempts in waves.jobs] == [20, 20, 20]
    waves.tick(wave)
    assert len(waves.jobs) == 3


def test_a_preparation_that_was_lost_is_given_out_again(waves):
    wave = waves.start(agents=1)
    waves.tick(wave)
    (first,) = waves.jobs

    waves.ahead += timedelta(seconds=QUEUE_SECONDS + 1)
    waves.tick(wave)

    assert len(waves.jobs) == 2
    assert waves.jobs[1] != first
    waves.jobs.reverse()
    waves.prepare()  # the second attempt, then the first one, late
    assert waves.states(wave) == ["ready"]


def test_a_preparation_that_dies_each_time_fails_its_agent_alone(waves):
    wave = waves.start(agents=2, step_size=0)
    waves.tick(wave)
    waves.agents(wave).filter(member__number=2).update(state=State.READY, workspace_path="/w")

    for _ in range(3):
        waves.ahead += timedelta(seconds=QUEUE_SECONDS + 1)
        waves.tick(wave)

    failed = waves.agents(wave).get(member__number=1)
    assert failed.state == "failed"
    assert failed.reason == "no workspace: its preparation died 3 times"
    assert Event.objects.filter(kind="agent.failed").count() == 1
    assert released(waves, wave) == ["w1/agent-02"]


def test_with_redis_away_nothing_is_counted_as_an_attempt(waves, monkeypatch):
    wave = waves.start(agents=1)
    monkeypatch.setattr(advance, "enqueue", lambda *arguments, on_failure: on_failure())

    for _ in range(5):
        waves.tick(wave)

    assert waves.states(wave) == ["planned"]
    assert Member.objects.get(wave=wave).prepare_attempts == 0


def test_progress_counts_every_member(waves):
    wave = waves.start(agents=6, step_size=2)
    waves.come_up(waves.make_ready(wave))

    seen = progress(wave, waves.now())

    assert (seen.running, seen.ready, seen.total) == (2, 4, 6)


def test_one_wave_that_cannot_be_moved_on_does_not_keep_the_others(waves, monkeypatch, caplog):
    broken, good = waves.start(), waves.start()
    original = advance.final_state

    def final_state(places, **options):
        if Wave.objects.get(pk=broken.pk).members.filter(agent=places[0].pk).exists():
            raise ValueError("unforeseen")
        return original(places, **options)

    monkeypatch.setattr(advance, "final_state", final_state)

    advance.advance_open_waves(waves.now())

    assert waves.states(good) == ["preparing preparing preparing preparing"]
    assert f"wave {broken.pk} can't be moved on" in caplog.text


@pytest.mark.parametrize(
    ("checkout", "jobs"), [(0, [20, 5]), (100_000_000, [10, 10, 5]), (5_000_000_000, [1] * 25)]
)
def test_big_checkouts_go_out_in_small_jobs(waves, checkout, jobs):
    wave = waves.start(agents=25, step_size=0)
    waves.agents(wave).update(checkout_bytes=checkout)
    Host.objects.update(disk_free=10**15)

    waves.tick(wave)

    assert [len(attempts) for _, attempts in waves.jobs] == jobs


def test_no_checkouts_are_made_on_a_host_that_takes_no_agents(waves):
    wave = waves.start(agents=2, step_size=0)
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))

    advance.advance_wave(wave.pk, timezone.now())

    wave.refresh_from_db()
    assert waves.jobs == []
    assert wave.waiting_for == "host local, which doesn't answer: is `runhost` running there?"
