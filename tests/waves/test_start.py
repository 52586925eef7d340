"""Starting a wave: what is written, once, and what is refused."""

import os
import threading

import pytest
from django.db import connection

from apps.access.exceptions import NotAllowed
from apps.events.models import Event
from apps.fleet.models import Agent, Host
from apps.waves.actions import start_wave
from apps.waves.exceptions import WaveRefused
from apps.waves.models import Wave
from apps.waves.planning import plan_wave
from apps.workspaces import git as git_commands
from apps.workspaces.models import Repository, Workspace
from tests.workspaces.repositories import git

from .starting import MB, OPERATOR, VIEWER, Waves, make_host


def refusal(waves, **overrides):
    with pytest.raises(WaveRefused) as refused:
        waves.start(**overrides)
    assert not Wave.objects.exists()
    assert not Agent.objects.exists()
    assert not Event.objects.filter(kind="wave.started").exists()
    return str(refused.value)


def test_it_writes_the_wave_with_all_its_agents(waves, source):
    wave = waves.start(agents=5, step_size=2, prompt="do it", title="Try")

    assert (wave.label, wave.state, wave.size, wave.title, wave.created_by) == (
        "w1",
        "running",
        5,
        "Try",
        "olga",
    )
    assert wave.base_commit == git(source, "rev-parse", "main")
    agents = waves.agents(wave).order_by("pk")
    assert [agent.name for agent in agents] == [f"w1/agent-0{number}" for number in (1, 2, 3, 4, 5)]
    assert {(agent.state, agent.desired, agent.prompt) for agent in agents} == {("planned", "held", "do it")}
    assert list(wave.members.values_list("number", "step")) == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]
    assert set(Workspace.objects.values_list("branch", flat=True)) == {
        f"yard/{agent.name}" for agent in agents
    }


def test_its_event_names_the_actor(waves):
    wave = waves.start()

    event = Event.objects.get(kind="wave.started")
    assert (event.actor_kind, event.actor, event.topic, event.subject_id) == ("user", "olga", "wave", wave.pk)
    assert event.text == "w1: 4 × command on project"


def test_one_agent_and_a_batch_without_steps_are_waves_too(waves):
    assert list(waves.start(agents=1).members.values_list("step", flat=True)) == [0]
    assert set(waves.start(agents=30, step_size=0).members.values_list("step", flat=True)) == {0}


def test_agents_are_spread_over_the_hosts_that_answer(waves):
    make_host("second")
    make_host("draining", draining=True)
    make_host("dead", heartbeat_at=None)

    wave = waves.start(agents=6)

    assert (
        list(waves.agents(wave).order_by("pk").values_list("host__name", flat=True))
        == ["local", "second"] * 3
    )


def test_with_every_host_draining_it_is_refused(waves):
    Host.objects.update(draining=True)

    assert "Every host is draining" in refusal(waves)


def test_before_the_first_host_came_up_it_is_this_machine_s(waves, settings):
    Host.objects.all().delete()

    wave = waves.start()

    assert set(waves.agents(wave).values_list("host__name", flat=True)) == {settings.HOST_NAME}


def test_the_same_key_again_gives_the_first_wave(waves):
    first = waves.start(idempotency_key="k1")

    again = waves.start(idempotency_key="k1")

    assert again == first
    assert Wave.objects.count() == 1
    assert Event.objects.filter(kind="wave.started").count() == 1


def test_a_repository_by_its_path_or_by_its_name_is_the_same_request(waves, source):
    first = waves.start(idempotency_key="k1", repository="project")

    assert waves.start(idempotency_key="k1", repository=str(source)) == first


def test_the_same_key_after_a_scale_still_gives_the_first_wave(waves):
    first = waves.start(idempotency_key="k1")
    waves.do("scale", first, size=6)

    assert waves.start(idempotency_key="k1") == first


@pytest.mark.parametrize(
    "overrides",
    [
        {"prompt": "else"},
        {"command": ["false"]},
        {"preset": "drill"},
        {"agents": 5},
        {"step_size": 3},
        {"pause_ms": 7},
        {"role": "tester"},
        {"memory_budget_mb": 123},
        {"restart_policy": "never"},
        {"title": "else"},
    ],
)
def test_a_key_for_something_else_is_refused(waves, overrides):
    waves.start(idempotency_key="k1")

    with pytest.raises(WaveRefused, match="used for another request, that of w1"):
        waves.start(idempotency_key="k1", **overrides)


def test_no_key_and_an_empty_key_start_any_number(waves):
    assert len({waves.start(idempotency_key=key).pk for key in (None, None, "", "")}) == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["k1", None])
def test_many_at_the_same_moment(transactional_db, home, source, monkeypatch, key):
    waves = Waves(source, monkeypatch)
    gate, found = threading.Barrier(6), []

    def start():
        gate.wait()
        try:
            found.append(
                start_wave(request=waves.request(idempotency_key=key), actor=OPERATOR, now=waves.now())
            )
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    wanted = 1 if key else 6
    assert len(found) == 6
    assert len({wave.pk for wave in found}) == Wave.objects.count() == wanted
    assert Agent.objects.count() == 4 * wanted
    assert len({wave.label for wave in found}) == wanted
    assert Event.objects.filter(kind="wave.started").count() == wanted


def test_a_label_that_the_repository_or_the_home_knows_is_skipped(waves, source, home):
    git(source, "branch", "yard/w1/agent-01")
    (home / "workspaces" / "w2").mkdir(parents=True)

    assert waves.start().label == "w3"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"agents": 0}, "give 1 to 10000 agents"),
        ({"agents": -1}, "give 1 to 10000 agents"),
        ({"agents": 100_001}, "give 1 to 10000 agents"),
        ({"repository": "nosuch"}, "add it first"),
        ({"repository": "/nowhere"}, "add it first"),
        ({"repository": "a\0b"}, "add it first"),
        ({"repository": "~nosuchuser/x"}, "add it first"),
        ({"preset": "nosuch"}, "There is no preset “nosuch”: give one of aider,"),
        ({"preset": "claude-code", "command": []}, "needs a prompt"),
        ({"command": []}, "needs a command"),
        ({"command": ["no-such-program"]}, "“no-such-program” is not installed"),
        ({"command": ["/etc/passwd"]}, "“/etc/passwd” is not installed"),
        ({"prompt": "\0"}, "NUL"),
    ],
)
def test_what_cannot_be_started_is_refused_with_the_reason(waves, overrides, told):
    assert told in refusal(waves, **overrides)


def test_a_preset_whose_program_is_not_installed_is_refused_with_a_hint(waves, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    told = refusal(waves, preset="claude-code", prompt="do it", command=[])

    assert "“claude” is not installed" in told
    assert "npm" in told


def test_a_program_that_a_host_lacks_is_named_with_the_host(waves):
    programs = {"drill": "", "claude-code": ""}
    Host.objects.update(equipment={"programs": programs, "presets_problem": "", "limits_problem": ""})

    assert "“{python}” is not installed on host local" in refusal(waves, preset="drill", command=[])


def test_a_plan_warns_of_a_hard_limit_that_a_host_can_not_set(waves, settings):
    presets = settings.SWARMYARD_HOME / "presets"
    presets.mkdir()
    (presets / "limited.toml").write_text('extends = "command"\nmemory_limit_mb = 4000\n')
    problem = {"programs": {}, "presets_problem": "", "limits_problem": "not delegated"}
    Host.objects.update(equipment=problem)

    plan = plan_wave(waves.request(preset="limited"), waves.now())

    assert plan.errors == {}
    assert plan.warnings == [
        "host local can't set the hard memory limit of the preset limited, so nothing of it starts there: not delegated"
    ]


def test_every_problem_is_told_at_once(waves):
    told = refusal(waves, agents=0, preset="nosuch", repository="nosuch")

    assert all(word in told for word in ("agents", "no preset", "add it first"))


def test_a_program_in_the_workspace_shows_at_launch_only(waves):
    assert waves.start(command=["./build.sh"]).state == "running"


def test_a_repository_that_is_not_there_yet_or_any_more_is_refused(waves, source):
    Repository.objects.update(state="cloning")
    assert "still being cloned" in refusal(waves)

    Repository.objects.update(state="failed", problem="no route")
    assert "could not be cloned: no route" in refusal(waves)

    Repository.objects.update(state="ready", target="gone")
    assert "no commit on its landing target “gone”" in refusal(waves)

    os.rename(source, source.with_name("moved"))
    assert "is gone" in refusal(waves)


def test_a_repository_may_be_named_by_its_path(waves, source, monkeypatch):
    monkeypatch.chdir(source)

    assert waves.start(repository=str(source)).repository == waves.repository
    assert waves.start(repository=".").repository == waves.repository


def test_a_viewer_may_not_start_one(waves):
    with pytest.raises(NotAllowed, match="vera is a viewer"):
        waves.start(actor=VIEWER)
    assert not Wave.objects.exists()


def test_a_plan_shows_it_and_starts_nothing(waves):
    plan = plan_wave(waves.request(agents=45, step_size=20, memory_budget_mb=100), waves.now())

    assert plan.errors == {}
    assert (plan.steps, plan.admitted, plan.memory_mb, plan.target) == ([20, 20, 5], 45, 4500, "main")
    assert not Wave.objects.exists()


def test_a_plan_says_what_would_have_to_wait(waves):
    Host.objects.update(memory_available=1_512 * MB)

    plan = plan_wave(waves.request(agents=10, memory_budget_mb=400), waves.now())

    assert plan.admitted == 2
    assert "memory" in plan.waiting_for


def test_a_plan_counts_the_disk_of_checkouts_and_logs(waves, settings):
    settings.AGENT_LOG_SEGMENT_BYTES = 5 * MB
    Host.objects.update(disk_free=(settings.MIN_FREE_DISK_MB + 25) * MB)

    plan = plan_wave(waves.request(agents=10), waves.now())

    assert plan.disk_mb == 100
    assert plan.admitted == 2
    assert plan.waiting_for.startswith("disk: 10 MB wanted")


def test_a_checkout_is_measured_once_for_each_base(waves, source):
    first = waves.start()
    (source / "large").write_bytes(b"x" * 1_000_000)
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "large")
    second = waves.start()

    sizes = [waves.agents(wave).first().checkout_bytes for wave in (first, second)]
    assert sizes[1] - sizes[0] == 245 * 4096
    waves.repository.refresh_from_db()
    assert waves.repository.checkout_commit == second.base_commit
    assert waves.repository.checkout_bytes == sizes[1]


def test_a_checkout_whose_size_nobody_can_tell_is_not_counted_and_said_so(waves, monkeypatch):
    monkeypatch.setattr(git_commands, "SIZING", 0.0001)  # seconds: git itself takes longer

    plan = plan_wave(waves.request(), waves.now())
    wave = waves.start()

    assert plan.errors == {}
    assert "can't be told" in plan.warnings[0]
    assert set(waves.agents(wave).values_list("checkout_bytes", flat=True)) == {0}
    waves.repository.refresh_from_db()
    assert waves.repository.checkout_commit == ""  # the next wave tries again


def test_a_form_that_has_errors_asks_no_worker(waves):
    def ask(*arguments, **more):
        raise AssertionError("asked")

    assert "agents" in plan_wave(waves.request(agents=0), waves.now(), ask).errors


def test_a_plan_warns_of_a_host_that_does_not_answer(waves):
    Host.objects.update(heartbeat_at=None)

    plan = plan_wave(waves.request(), waves.now())

    assert plan.admitted == 0
    assert "local is unknown" in plan.warnings[0]


def test_a_plan_names_errors_by_field(waves):
    plan = plan_wave(waves.request(agents=0, preset="nosuch"), waves.now())

    assert set(plan.errors) == {"agents", "preset"}
