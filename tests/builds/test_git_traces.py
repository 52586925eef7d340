"""Locks that agents' git is refused, told by real git as agents have it."""

import json
import os
import signal
import subprocess

import pytest

from apps.builds import git_traces, places
from apps.builds.git_traces import GitTraces
from apps.builds.models import LockWait
from apps.builds.preparing import environments_for
from apps.fleet.domain.preset import Launch
from apps.fleet.starting import environment_for
from apps.lib.redis import connection
from apps.telemetry.domain.tally import total
from apps.telemetry.stream import Stream
from tests.builds.test_recorder import until
from tests.factories import make_agent, make_workspace


@pytest.fixture(autouse=True)
def _nobody_else_listens(monkeypatch, tmp_path):
    monkeypatch.delenv(git_traces.TARGET, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    git_traces.own_target.cache_clear()
    yield
    git_traces.own_target.cache_clear()


@pytest.fixture
def checkout(tmp_path):
    place = tmp_path / "a checkout ü"
    place.mkdir()
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*GIT, *words], cwd=place, check=True)
    return place


GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.invalid"]


def environment(agent) -> dict[str, str]:
    return os.environ | environments_for([agent.workspace])[agent.workspace.pk] | {"LC_ALL": "C"}


def call(agent, checkout, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    given = environment(agent) | more
    return subprocess.run([*GIT, *words], cwd=checkout, env=given, capture_output=True, timeout=60)


def start(agent, checkout, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*GIT, *words], cwd=checkout, env=environment(agent), stdin=subprocess.PIPE)


def test_an_index_that_is_locked_is_a_wait_of_the_agent_s(recorder, agent, checkout):
    lock = checkout / ".git" / "index.lock"
    lock.touch()
    (checkout / "file").touch()
    assert call(agent, checkout, "add", "file").returncode == 128

    recorder.note_git_waits()

    wait = LockWait.objects.get()
    assert (wait.kind, wait.agent, wait.build, wait.path) == ("vcs", agent, None, str(lock))
    assert (wait.holder_agent, wait.holder_pid) == (None, 0)
    assert 0 <= wait.ms < 5000
    assert list(places.git_traces().iterdir()) == []


def test_a_ref_that_stays_locked_has_cost_what_git_waits_for_it(recorder, agent, checkout):
    (checkout / ".git" / "refs" / "heads" / "new.lock").touch()
    assert call(agent, checkout, "-c", "core.filesRefLockTimeout=400", "branch", "new").returncode == 128

    recorder.note_git_waits()

    wait = LockWait.objects.get()
    assert wait.path.endswith("refs/heads/new.lock")
    assert wait.ms > 350


def test_it_counts_as_an_operation_that_failed_and_waited(recorder, agent, checkout):
    (checkout / ".git" / "refs" / "heads" / "new.lock").touch()
    call(agent, checkout, "branch", "new")
    recorder.note_git_waits()

    counted = total(tally for entry in Stream(connection()).take()[1] for tally in entry.parts.values())

    assert (counted.operations, counted.errors, counted.kinds) == (1, 1, {"git.branch": 1})
    assert set(counted.waits) == {"vcs"}


def test_the_other_agent_whose_git_held_it_is_named(recorder, agent, checkout):
    other = make_agent("w1/agent-02")
    make_workspace(other, repository=agent.workspace.repository)
    elsewhere = make_agent("w1/agent-03")
    make_workspace(elsewhere)
    bystander = start(elsewhere, checkout, "hash-object", "--stdin")
    holding = start(other, checkout, "update-ref", "--stdin")
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True).stdout
    holding.stdin.write(f"start\nupdate refs/heads/held {head}prepare\n".encode())
    holding.stdin.flush()
    lock = checkout / ".git" / "refs" / "heads" / "held.lock"
    until(lock.exists)

    assert call(agent, checkout, "branch", "held").returncode == 128
    recorder.note_git_waits()
    for each in (holding, bystander):
        each.communicate(timeout=20)

    wait = LockWait.objects.get()
    assert (wait.agent, wait.holder_agent, wait.holder_pid) == (agent, other, holding.pid)
    assert wait.path == str(lock)


def test_commands_that_work_leave_nothing(recorder, agent, checkout):
    (checkout / "file").touch()
    for words in (["add", "file"], ["commit", "-q", "-m", "file"], ["status"], ["nope"]):
        call(agent, checkout, *words)

    recorder.note_git_waits()

    assert LockWait.objects.count() == 0
    assert list(places.git_traces().iterdir()) == []


def test_one_that_runs_is_left_alone_until_it_has_ended_or_was_killed(agent, checkout):
    traces = GitTraces(places.git_traces())
    running = [start(agent, checkout, "hash-object", "--stdin") for _ in range(2)]
    until(lambda: len(list(places.git_traces().iterdir())) == 2)

    traces.news()
    during = len(list(places.git_traces().iterdir()))
    running[0].send_signal(signal.SIGKILL)
    running[0].wait(20)
    traces.news()
    after = len(list(places.git_traces().iterdir()))
    running[1].communicate(timeout=20)
    running[0].stdin.close()
    traces.news()

    assert (during, after) == (2, 1)
    assert list(places.git_traces().iterdir()) == []


def test_where_nobody_listens_any_more_git_says_what_it_says(agent, checkout):
    given = environment(agent)
    places.git_traces().rmdir()

    done = subprocess.run([*GIT, "status"], cwd=checkout, env=given, capture_output=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")
    assert not places.git_traces().exists()


def test_where_nobody_takes_them_away_there_are_only_so_many(agent, checkout, monkeypatch):
    monkeypatch.setattr(git_traces, "MOST_FILES", 5)
    for _ in range(9):
        assert call(agent, checkout, "rev-parse", "HEAD").returncode == 0
    many = len(list(places.git_traces().iterdir()))

    GitTraces(places.git_traces()).news()
    call(agent, checkout, "rev-parse", "HEAD")

    assert many <= 6
    assert len(list(places.git_traces().iterdir())) == 1  # it is told of again


@pytest.mark.parametrize("who", ["the environment", "git's settings"])
def test_the_user_s_own_target_wins(agent, tmp_path, monkeypatch, who):
    if who == "the environment":
        monkeypatch.setenv(git_traces.TARGET, str(tmp_path / "own"))
    else:
        (tmp_path / "gitconfig").write_text(f"[trace2]\neventTarget = {tmp_path}/own\n")

    assert git_traces.environment_of(agent.pk) == {}


def test_so_does_a_preset_s(agent):
    agent.environment = environments_for([agent.workspace])[agent.workspace.pk]
    plain, own = (
        environment_for(
            agent, Launch(["x"], env_add=given, env_remove=[], env_keep=[], stdin=None), "token", {}
        )
        for given in ({}, {git_traces.TARGET: "/own"})
    )

    assert plain[git_traces.TARGET] == f"{places.git_traces()}/"
    assert own[git_traces.TARGET] == "/own"
    assert not {f"{git_traces.TARGET}_NESTING", "GIT_TRACE2_PARENT_SID"} & set(own)


def test_it_can_be_switched_off(agent, settings):
    settings.GIT_LOCKS = False

    assert git_traces.environment_of(agent.pk) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"[]",
        b'{"event":"error"}\n' * 3,
        b'{"event":"error","time":"x","msg":1}',
        b'"event":"error"',
    ],
)
def test_what_is_no_trace_is_removed_and_holds_nobody_up(recorder, agent, checkout, content):
    (places.git_traces() / "20261121T233046.839346Z-H0a7c9cdf-P003fffff").write_bytes(content)
    os.mkfifo(places.git_traces() / "20261121T233046.839347Z-H0a7c9cdf-P003fffff")
    (checkout / ".git" / "index.lock").touch()
    (checkout / "file").touch()
    call(agent, checkout, "add", "file")

    recorder.note_git_waits()

    assert LockWait.objects.count() == 1
    assert list(places.git_traces().iterdir()) == []


def test_of_a_long_trace_its_ends_tell_whose_it_was_and_when():
    def line(event: str, seconds: int, **more: object) -> str:
        return json.dumps(
            {"event": event, "sid": "yard-7/s-P0000002a", "time": f"2026-11-21T23:30:{seconds}.000000Z"}
            | more
        )

    lines = [line("version", 10), line("cmd_name", 11, name="fetch"), *(line("data", 12) for _ in range(200))]
    trace = "\n".join([*lines, line("atexit", 20, code=0)]) + "\n"

    command = git_traces.parsed(git_traces.ends_of(trace.encode()))

    assert len(trace) > 3 * git_traces.END
    assert command == git_traces.parsed(trace.encode())
    assert (command.agent, command.pid, command.name, command.ended - command.began) == (7, 42, "fetch", 10.0)


def test_an_agent_that_isn_t_there_is_passed_over(recorder, home):
    times = ("2026-11-21T23:30:46.839500Z", "2026-11-21T23:30:46.939500Z")
    events = [
        {"event": "start", "sid": "yard-987654/s-P003fffff", "time": times[0]},
        {"event": "error", "time": times[1], "msg": "Unable to create '/x/.git/index.lock': File exists."},
        {"event": "atexit", "time": times[1], "code": 128},
    ]
    name = places.git_traces() / "20261121T233046.839346Z-H0a7c9cdf-P003fffff"
    name.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))

    recorder.note_git_waits()

    assert LockWait.objects.count() == 0
