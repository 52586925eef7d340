"""What a scrape says."""

from datetime import timedelta

import pytest
from rq import Queue

from apps.exposition import metrics
from apps.fleet.models import Agent, State
from apps.lib.queues import queue
from apps.telemetry.service_levels import FILE
from apps.waves.models import Wave, WaveState
from tests.exposition.filling import fill, hold_samples, publish_figures, report
from tests.factories import make_agent, make_event, make_host, make_member, make_wave, make_workspace, now

pytestmark = pytest.mark.django_db

WAVE = ("coder", "w1")


def test_it_counts_operations_by_wave_role_and_outcome(scraped):
    fill(agents=2)

    found = scraped().of("operations_total")

    assert found == {("ok", *WAVE): 2, ("error", *WAVE): 2, ("induced", *WAVE): 2}


def test_its_counters_grow_with_what_is_reported_and_by_no_more(scraped):
    agents = fill(agents=2)
    before = scraped()

    report(agents[0], ms=(5.0,))

    after = scraped()
    assert after.of("operations_total")["ok", *WAVE] == before.of("operations_total")["ok", *WAVE] + 1
    assert (
        after.of("operation_duration_seconds_count")[WAVE]
        == before.of("operation_duration_seconds_count")[WAVE] + 1
    )
    grown = (
        after.of("operation_duration_seconds_sum")[WAVE] - before.of("operation_duration_seconds_sum")[WAVE]
    )
    assert grown == pytest.approx(0.005)


def test_it_gives_durations_as_a_histogram_of_seconds(scraped):
    fill(agents=2)

    page = scraped()

    buckets = {float(le): count for (le, *_), count in page.of("operation_duration_seconds_bucket").items()}
    assert buckets[0.001] == 0
    assert buckets[0.005] == 2
    assert buckets[0.05] == 4
    assert buckets[0.5] == 4
    assert buckets[1.0] == buckets[float("inf")] == 6
    assert page.of("operation_duration_seconds_count")[WAVE] == 6
    assert page.of("operation_duration_seconds_sum")[WAVE] == pytest.approx(2 * 0.742)
    assert page.of("lock_wait_seconds_total")[WAVE] == pytest.approx(0.006)


def test_it_times_the_queue_and_the_spawn_of_each_agent_once(scraped):
    fill(agents=3)
    make_agent("w1/agent-90", role="coder", queue_time=None, spawn_time=None)

    page = scraped()

    assert page.of("queue_time_seconds_count")[WAVE] == 3
    assert page.of("queue_time_seconds_sum")[WAVE] == pytest.approx(0.9)
    assert page.of("spawn_time_seconds_sum")[WAVE] == pytest.approx(0.24)
    spawn = {float(le): count for (le, *_), count in page.of("spawn_time_seconds_bucket").items()}
    assert (spawn[0.05], spawn[0.1], spawn[float("inf")]) == (0, 3, 3)


def test_it_counts_starts_and_restarts(scraped):
    fill(agents=2)  # both in their second start
    make_agent("w1/agent-90", role="coder", epoch=0, state=State.READY)

    page = scraped()

    assert page.of("starts_total")[WAVE] == 4
    assert page.of("restarts_total")[WAVE] == 2


def test_it_counts_agents_by_host_and_state(scraped):
    make_host("here")
    make_agent(state=State.FAILED)
    make_agent()

    found = scraped().of("agents")

    assert found["here", "failed"] == found["here", "busy"] == 1
    assert found["here", "lost"] == 0


def test_it_shows_as_many_agents_as_the_setting_allows(scraped, settings):
    agents = fill(agents=4)
    settings.METRICS_AGENTS = 2

    page = scraped()

    names = set(Agent.objects.filter(pk__in=agents[:2]).values_list("name", flat=True))
    assert {agent for agent, *_ in page.of("agent_operations_total")} == names
    assert page.of("agent_operations_total")["w1/agent-01", *WAVE] == 3
    assert page.of("agent_errors_total")["w1/agent-01", *WAVE] == 1
    assert page.of("agent_operation_seconds_total")["w1/agent-01", *WAVE] == pytest.approx(0.742)
    assert page.of("omitted")[("live agents",)] == 2


def test_it_shows_no_agent_where_none_is_wanted(scraped, settings):
    fill(agents=1)
    settings.METRICS_AGENTS = 0

    assert not any(name.startswith("swarmyard_agent_") for name in scraped().names)


def test_it_tells_no_reading_of_an_agent_that_nobody_looks_at(scraped):
    make_agent("w1/agent-01", seen_at=now() - timedelta(minutes=5))

    page = scraped()

    assert page.of("agent_memory_bytes") == {}
    assert len(page.of("agent_starts_total")) == 1


def test_it_shows_open_waves_before_newer_ended_ones(scraped, monkeypatch):
    monkeypatch.setattr("apps.exposition.sources.waves.SHOWN", 2)
    make_wave("w1")
    make_wave("w2")
    for label in ("w3", "w4"):
        make_wave(label, state=WaveState.DONE)
    for label in ("w1", "w2", "w3", "w4"):
        report(make_agent().pk, wave=label)

    assert {wave for _, _, wave in scraped().of("operations_total")} == {"w1", "w2"}


def test_it_says_how_many_open_waves_are_left_out(scraped, monkeypatch):
    monkeypatch.setattr("apps.exposition.sources.waves.SHOWN", 2)
    for _ in range(3):
        make_wave()

    assert scraped().of("omitted")[("open waves",)] == 1


def test_it_tells_which_agents_are_held_back(scraped):
    wave = make_wave("w1", waiting_for="local: memory: 400 MB wanted, 120 MB left to promise")
    for state in (State.READY, State.PLANNED, State.BUSY):
        make_member(wave, state=state)
    make_wave("w2", waiting_for="3 of step 1 to start")

    page = scraped()

    assert page.of("wave_held_back_agents") == {("w1",): 2, ("w2",): 0}
    assert page.of("wave_agents")["running", "w1"] == 1
    assert page.of("waves")[("running",)] == 2


def test_it_shows_hosts_in_base_units(scraped):
    make_host("local", memory_available=16 * 1024**3, memory_pressure=25.0, io_pressure=None)

    page = scraped()

    assert page.of("host_memory_available_bytes") == {("local",): 16 * 1024**3}
    assert page.of("host_pressure_ratio")["local", "memory"] == 0.25
    assert ("local", "io") not in page.of("host_pressure_ratio")
    assert page.of("host_up") == {("local",): 1}


def test_it_tells_no_reading_of_a_host_that_is_silent(scraped):
    make_host("local", heartbeat_at=now() - timedelta(minutes=2))

    page = scraped()

    assert page.of("host_up") == {("local",): 0}
    assert page.of("host_heartbeat_age_seconds")[("local",)] >= 120
    assert page.of("host_memory_bytes") == {}


def test_it_counts_workspaces_by_state(scraped):
    make_workspace(make_agent(), state="failed")

    found = scraped().of("workspaces")

    assert (found[("failed",)], found[("ready",)]) == (1, 0)


def test_it_counts_jobs_by_queue(scraped, redis_server, queues, settings):
    make_host("builder")
    Queue.enqueue_call(
        queue("control"), "apps.lib.questions.name_of", args=(1,)
    )  # django-rq waits for a commit

    found = scraped().of("jobs")

    assert found["control", "queued"] == 1
    assert found["host.builder", "queued"] == 0


def test_it_shows_the_figures_of_the_last_minute(scraped, redis_server):
    agents = fill(agents=2)
    publish_figures(agents)
    hold_samples(2)

    page = scraped()

    assert page.value("telemetry_fresh") == 1
    assert page.of("recent_duration_seconds")[("p95",)] == pytest.approx(0.021)
    assert page.value("load_balance_ratio") == pytest.approx(0.86)
    assert page.value("telemetry_stream_entries") == 2
    assert page.value("telemetry_stream_bytes") == 100
    assert page.of("agent_cpu_cores").keys() == {("w1/agent-01", *WAVE), ("w1/agent-02", *WAVE)}
    assert 0 <= page.value("telemetry_lag_seconds") < 60


def test_it_tells_which_service_levels_are_met(scraped, redis_server, tmp_path):
    (tmp_path / FILE).write_text("p95_ms = 12\nmax_ms = false\n")
    publish_figures(fill(agents=1))

    page = scraped()

    assert page.of("service_level_target")[("p95_ms",)] == 12
    assert page.of("service_level_met")[("p95_ms",)] == 0
    assert page.of("service_level_met")[("p50_ms",)] == 1
    assert ("max_ms",) not in {*page.of("service_level_target"), *page.of("service_level_met")}
    assert ("commits_per_s",) not in page.of("service_level_met")


def test_it_leaves_out_what_nothing_measures(scraped, redis_server):
    publish_figures(fill(agents=1))

    assert "swarmyard_coordination_efficiency_ratio" not in scraped().names


def test_it_leaves_out_figures_that_are_old_and_says_so(scraped, redis_server):
    publish_figures(fill(agents=1), age=300.0)

    page = scraped()

    assert page.value("telemetry_fresh") == 0
    assert page.value("telemetry_snapshot_age_seconds") >= 300
    assert page.of("recent_duration_seconds") == {}
    assert page.of("agent_cpu_cores") == {}


def test_it_serves_the_rest_while_redis_is_away(scraped):
    fill(agents=1)

    page = scraped()

    assert page.value("redis_up") == 0
    assert page.value("telemetry_fresh") == 0
    assert page.of("operations_total")["ok", *WAVE] == 1
    assert page.of("jobs") == {}
    assert page.of("agents")


def test_it_shows_nothing_of_the_operations_of_a_yard_without_any(scraped):
    make_wave("w1")

    names = scraped().names

    assert "swarmyard_operations_total" not in names
    assert "swarmyard_operation_duration_seconds" not in names
    assert "swarmyard_telemetry_lag_seconds" not in names


def test_it_counts_events_by_kind(scraped):
    for kind in ("agent.started", "agent.started", "wave.started"):
        make_event(kind=kind)

    assert scraped().of("events_total") == {("agent.started",): 2, ("wave.started",): 1}


def test_it_can_say_everything_that_it_knows_of(scraped, redis_server, queues):
    publish_figures(fill(agents=1))
    hold_samples()

    known = {name for name in metrics.METRICS if name != metrics.COORDINATION_EFFICIENCY.name}
    assert scraped().names == known


def test_it_can_tell_of_whatever_somebody_named(scraped):
    role = 'a "b" \\n{c="d"}\n# TYPE é'
    report(make_agent("w1/agent-01", role=role).pk, role=role)
    make_wave("w1")

    page = scraped()

    assert page.of("operations_total")["ok", role, "w1"] == 1
    assert page.of("agent_starts_total")["w1/agent-01", role, "w1"] == 1


def test_waves_that_ended_keep_their_readings(scraped):
    fill(agents=1)
    Wave.objects.update(state=WaveState.DONE)

    page = scraped()

    assert page.of("operations_total")["ok", *WAVE] == 1
    assert page.of("wave_agents") == {}
