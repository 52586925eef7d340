"""Builds as rows: real cargo behind its shim, and what the host process makes of its reports."""

import json
import os
import signal
import time

import pytest

from apps.builds import places
from apps.builds.models import Build, BuildDirectory, BuildState
from apps.fleet.places import home_id
from apps.lib.redis import connection
from apps.telemetry.domain.tally import total
from apps.telemetry.stream import Stream
from tests.builds.yard import make_package, start_cargo

NAME = "00001700000000000000.4711"


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return result


def ended(recorder, state=BuildState.PASSED) -> Build:
    """The only build, once it has ended."""
    until(lambda: recorder.turn() == 0 and Build.objects.exists())
    build = Build.objects.get()
    assert build.state == state
    return build


def leave(text: str, name: str = NAME) -> None:
    (places.reports() / name).write_text(text)


def report(**fields) -> str:
    return json.dumps(
        {"v": 1, "pid": 4711, "tool": "cargo", "mode": "check", "asked_at": 1_700_000_000.0} | fields
    )


@pytest.mark.needs("cargo")
def test_a_build_is_known_while_it_runs_and_how_it_ended(recorder, agent, tmp_path):
    make_package(agent, tmp_path / "w")
    (tmp_path / "w" / "app" / "src" / "main.rs").write_text(
        "fn main() { std::thread::sleep(std::time::Duration::from_secs(60)); }"
    )

    running = start_cargo(agent, "run", "-q")
    until(lambda: recorder.turn() == 1 and Build.objects.get().state == BuildState.RUNNING)
    during = Build.objects.get()
    os.killpg(running.pid, signal.SIGTERM)
    build = ended(recorder, BuildState.KILLED)

    assert (during.agent, during.tool, during.mode, during.arguments) == (agent, "cargo", "dev", "run -q")
    assert (build.exit_code, build.pk) == (-signal.SIGTERM, during.pk)
    assert build.asked_at <= build.began_at < build.ended_at


@pytest.mark.needs("cargo")
def test_its_directory_is_its_agent_s_own_and_counts_its_builds(recorder, agent, tmp_path):
    make_package(agent, tmp_path / "w")

    for _ in range(2):
        assert start_cargo(agent, "check", "-q").wait(60) == 0
        until(lambda: recorder.turn() == 0)

    directory = BuildDirectory.objects.get()
    assert directory.workspace == agent.workspace
    assert directory.repository == agent.workspace.repository
    assert directory.path == str(places.directories_of(agent.workspace) / directory.key)
    assert os.path.isdir(f"{directory.path}/debug")
    assert (directory.builds, directory.parts["flags"]) == (2, "")
    assert directory.used_at == Build.objects.latest("ended_at").ended_at


@pytest.mark.needs("cargo")
def test_a_build_counts_as_one_operation_of_its_agent_however_often_it_is_told(recorder, agent, tmp_path):
    make_package(agent, tmp_path / "w")
    (tmp_path / "w" / "base" / "src" / "lib.rs").write_text("this is no rust")
    start_cargo(agent, "check", "-q").wait(60)
    ended(recorder, BuildState.FAILED)
    leave(report(ended_at=1_700_000_001.0, began_at=1_700_000_000.5, run="", exit_code=0))

    told = Build.objects.get(agent=agent)
    leave(
        report(run=f"{home_id()}.{agent.pk}.1", began_at=1.0, ended_at=2.0, exit_code=0, asked_at=0.5),
        told.report,
    )
    until(lambda: recorder.turn() == 0 and not list(recorder.box.directory.glob("0*")))

    counted = total(tally for entry in Stream(connection()).take()[1] for tally in entry.parts.values())
    assert (counted.operations, counted.errors, counted.kinds) == (1, 1, {"build.check": 1})
    assert Build.objects.get(pk=told.pk).state == BuildState.FAILED


def test_a_sample_waits_for_redis(recorder, agent, redis_server):
    leave(
        report(
            run=f"{home_id()}.{agent.pk}.1", began_at=1_700_000_000.5, ended_at=1_700_000_001.0, exit_code=0
        )
    )
    redis_server.kill()
    recorder.turn()
    kept = list(recorder.box.directory.glob("0*"))
    redis_server.start()

    until(lambda: recorder.turn() == 0 and not list(recorder.box.directory.glob("0*")))

    assert len(kept) == 1
    assert sum(len(entry.parts) for entry in Stream(connection()).take()[1]) == 1


def test_a_build_of_nobody_we_know_is_a_row_alone(recorder):
    leave(report(run="elsewhere.1.1", agent="ada's shell", began_at=1_700_000_000.5))
    recorder.turn()

    build = Build.objects.get()
    assert (build.agent, build.who, build.state) == (None, "ada's shell", BuildState.RUNNING)


def test_one_that_was_killed_with_its_shim_is_given_up(recorder):
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5))
    recorder.turn()
    recorder.give_up_gone()

    assert Build.objects.get().state == BuildState.LOST
    assert not list(recorder.box.directory.glob("0*"))


def test_one_that_ended_since_the_last_look_is_not_given_up(recorder):
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5))
    recorder.turn()
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5, ended_at=1_700_000_009.0, exit_code=0))
    recorder.give_up_gone()

    assert recorder.turn() == 0
    assert Build.objects.get().state == BuildState.PASSED


def test_one_that_was_given_up_too_early_comes_to_its_end(recorder):
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5))
    recorder.turn()
    recorder.give_up_gone()
    leave(report(pid=2**22 - 1, began_at=1_700_000_000.5, ended_at=1_700_000_009.0, exit_code=101))
    recorder.turn()

    build = Build.objects.get()
    assert (build.state, build.exit_code) == (BuildState.FAILED, 101)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"v": 1}',
        report(pid="x"), report(asked_at=1e300), report(exit_code=10**9), report(arguments="x" * 5000),
        report(ended_at="NaN"), "\x00" * 100,
    ],
)  # fmt: skip
def test_what_is_no_report_is_removed_and_holds_nobody_up(recorder, text, caplog):
    leave(text)
    leave(report(), "00001700000000000001.4712")
    recorder.turn()

    assert Build.objects.count() == 1
    assert [path.name for path in recorder.box.directory.iterdir()] == ["00001700000000000001.4712"]
    assert NAME in caplog.text


def test_a_fifo_in_place_of_a_report_holds_nobody_up(recorder):
    os.mkfifo(places.reports() / NAME)
    recorder.turn()

    assert not list(recorder.box.directory.iterdir())


def test_names_that_carry_control_characters_are_cleaned(recorder):
    leave(
        report(
            agent="a\x1b[31m\nb", arguments="check \x00 x", key={"toolchain": "\x07"}, directory="/tmp/\x1bx"
        )
    )
    recorder.turn()

    build = Build.objects.select_related("directory").get()
    text = f"{build.who} {build.arguments} {build.directory.path} {build.directory.parts}"
    assert not {"\x1b", "\n", "\x00", "\x07"} & set(text)


def test_the_slots_are_as_many_as_cores_or_as_set(recorder, settings):
    settings.BUILD_SLOTS = 3
    settings.MAX_MEMORY_PRESSURE = 100.0
    recorder.set_slots()

    assert (places.slots() / "limit").read_text() == "3\n"
