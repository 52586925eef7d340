"""Hosts that drain take no agents, neither of waves that were started before."""

from datetime import timedelta

from apps.access.roles import shell_actor
from apps.fleet.actions import operate
from apps.fleet.models import Host, State
from apps.waves import advance

from .starting import make_host


def drain(host, draining=True):
    operate.drain_host(host=host, draining=draining, actor=shell_actor())


def on_hosts(waves, wave):
    return " ".join(waves.agents(wave).order_by("pk").values_list("host__name", flat=True))


def test_members_that_are_ready_on_a_draining_host_wait(waves):
    wave = waves.start(agents=4, step_size=2)
    waves.come_up(waves.make_ready(wave), first_seen_at=None)
    drain(waves.host)
    waves.agents(wave).filter(state=State.BUSY).update(first_seen_at=waves.now())

    waves.tick(wave)

    assert waves.states(wave) == ["busy busy", "ready ready"]
    assert not waves.agents(wave).filter(state=State.READY, desired="running").exists()
    assert wave.waiting_for == "host local, which drains"

    drain(waves.host, draining=False)
    waves.tick(wave)
    assert waves.agents(wave).filter(state=State.READY, desired="running").count() == 2
    assert wave.waiting_for == ""


def test_what_is_only_planned_goes_to_an_open_host(waves):
    second = make_host("second")
    make_host("silent", heartbeat_at=waves.now() - timedelta(hours=1))
    wave = waves.start(agents=4, step_size=0)
    assert on_hosts(waves, wave) == "local second local second"
    drain(second)

    advance.advance_wave(wave.pk, waves.now())

    assert on_hosts(waves, wave) == "local local local local"
    assert [queue for queue, _ in waves.jobs] == ["host.local"]


def test_what_is_being_prepared_stays_where_it_is(waves):
    second = make_host("second")
    wave = waves.start(agents=4, step_size=0)
    waves.tick(wave)
    drain(second)

    waves.tick(wave)

    assert on_hosts(waves, wave) == "local second local second"


def test_without_an_open_host_nothing_is_prepared(waves):
    wave = waves.start(agents=2, step_size=0)
    drain(waves.host)

    waves.tick(wave)

    assert waves.jobs == []
    assert waves.states(wave) == ["planned planned"]
    assert wave.waiting_for == "host local, which drains"
    assert set(Host.objects.values_list("name", flat=True)) == {"local"}
