"""Jobs that make workspaces: real checkouts, and faults that stay with the agent that they hit."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from apps.builds.models import Base
from apps.events.models import Event
from apps.fleet.models import Agent, Host, State
from apps.waves import preparation
from apps.waves.models import Member
from apps.workspaces import git as git_commands
from apps.workspaces.models import Workspace
from tests.workspaces.repositories import belongings, git


def test_a_job_makes_workspaces_and_lets_the_wave_go_on(waves, source, home):
    before = belongings(source)
    wave = waves.start(agents=3, step_size=0)
    waves.tick(wave)

    waves.prepare()

    for agent in waves.agents(wave):
        assert (agent.state, agent.desired) == ("ready", "running")
        assert agent.workspace_path == f"{home}/workspaces/{agent.name}"
        assert git(agent.workspace_path, "rev-parse", "--abbrev-ref", "HEAD") == f"yard/{agent.name}"
        assert agent.git_directory.startswith(f"{source}/.git/worktrees/")
    assert set(Workspace.objects.values_list("state", "problem")) == {("ready", "")}
    assert belongings(source) == before


def test_a_job_that_comes_again_changes_nothing(waves):
    wave = waves.start(agents=2, step_size=0)
    waves.tick(wave)
    jobs = list(waves.jobs)
    waves.prepare()
    before = (list(Agent.objects.values()), Event.objects.count())

    waves.jobs = jobs
    waves.prepare()

    assert before == (list(Agent.objects.values()), Event.objects.count())


@pytest.mark.django_db(transaction=True)  # threads look too
def test_one_workspace_that_cannot_be_made_fails_its_agent_and_the_rest_goes_on(waves, source):
    wave = waves.start(agents=3, step_size=0)
    git(source, "branch", "yard/w1/agent-02", git(source, "commit-tree", "-m", "theirs", "main^{tree}"))
    waves.tick(wave)

    waves.prepare()

    assert waves.states(wave) == ["ready failed ready"]
    failed = waves.agents(wave).get(state="failed")
    assert failed.reason.startswith("no workspace: the branch yard/w1/agent-02 exists already")
    assert failed.workspace.state == "failed"
    event = Event.objects.get(kind="agent.failed")
    assert (event.subject, event.topic) == ("w1/agent-02", "agent")
    assert waves.agents(wave).filter(desired="running", state="ready").count() == 2


def test_a_repository_that_is_gone_fails_every_agent_with_the_reason(waves, source):
    wave = waves.start(agents=3, step_size=0)
    waves.tick(wave)
    source.rename(source.with_name("moved"))

    waves.prepare()
    waves.tick(wave)

    assert waves.states(wave) == ["failed failed failed"]
    assert all(str(source) in agent.reason for agent in waves.agents(wave))
    assert wave.state == "failed"


def test_what_nobody_foresaw_stays_with_one_workspace(waves, monkeypatch, caplog):
    wave = waves.start(agents=3, step_size=0)
    waves.tick(wave)
    create = preparation.create_workspace

    def create_or_break(workspace, checkouts, is_ours):
        if workspace.branch.endswith("02"):
            raise RuntimeError("unforeseen")
        return create(workspace, checkouts, is_ours)

    monkeypatch.setattr(preparation, "create_workspace", create_or_break)
    waves.prepare()

    assert waves.states(wave) == ["ready failed ready"]
    assert "RuntimeError: unforeseen" in waves.agents(wave).get(state="failed").reason


def test_an_agent_that_was_stopped_meanwhile_does_not_start(waves):
    wave = waves.start(agents=2, step_size=0)
    waves.tick(wave)
    waves.do("abort", wave)

    waves.prepare()

    assert waves.states(wave) == ["exited exited"]


def test_an_attempt_that_was_given_out_again_writes_nothing_any_more(waves, monkeypatch):
    wave = waves.start(agents=1)
    waves.tick(wave)
    renew = preparation.renew

    def given_out_again(workspaces):
        renew(workspaces)
        Member.objects.update(prepare_attempts=2)

    monkeypatch.setattr(preparation, "renew", given_out_again)
    waves.prepare()

    assert waves.states(wave) == ["preparing"]
    assert Workspace.objects.get().state == "creating"


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_comes_late_leaves_the_workspace_of_the_next_alone(waves, monkeypatch):
    """It hung until its lease was over; by then another has made the workspace, and the agent is at work in it."""
    wave = waves.start(agents=1)
    waves.tick(wave)
    written = Path(Workspace.objects.get().path) / "written by the agent"
    add_worktree, hung = git_commands.add_worktree, []

    def overtaken(repository, **more):
        if not hung:
            hung.append(True)
            waves.ahead += timedelta(seconds=2 * preparation.QUEUE_SECONDS)
            waves.tick(wave)
            waves.prepare()
            written.touch()
            connection.close()  # this thread's
        return add_worktree(repository, **more)

    monkeypatch.setattr(git_commands, "add_worktree", overtaken)
    waves.prepare()

    assert written.exists()
    assert waves.states(wave) == ["ready"]
    assert Workspace.objects.get().state == "ready"


def test_a_job_at_work_renews_its_lease_and_that_of_those_who_wait_behind_it(waves, monkeypatch):
    wave = waves.start(agents=25, step_size=0)
    waves.tick(wave)
    nearly_over = timezone.now() + timedelta(seconds=preparation.LEASE_SECONDS + 10)
    Member.objects.update(prepare_by=nearly_over)
    monkeypatch.setattr(preparation, "create_workspace", lambda workspace, checkouts, is_ours: "")
    seen = []
    renew = preparation.renew

    def noted(workspaces):
        renew(workspaces)
        seen.append(list(Member.objects.order_by("number").values_list("prepare_by", flat=True)))

    monkeypatch.setattr(preparation, "renew", noted)
    waves.jobs = waves.jobs[:1]
    waves.prepare()

    first, last = seen[0][0], seen[0][-1]
    assert first < nearly_over  # at work: its end is noticed soon
    assert last > nearly_over + timedelta(seconds=30)  # in the queue: it moves


def test_a_lease_of_a_job_that_died_is_not_renewed_by_another(waves):
    wave = waves.start(agents=25, step_size=0)
    waves.tick(wave)
    dying = timezone.now() + timedelta(seconds=5)
    Member.objects.filter(number=25).update(prepare_by=dying)
    waves.jobs = waves.jobs[:1]

    waves.prepare()

    assert Member.objects.get(number=25).prepare_by == dying


@pytest.mark.parametrize("state", [State.READY, State.BUSY, State.EXITED])
def test_only_agents_that_are_being_prepared_are_touched(waves, state):
    wave = waves.start(agents=1)
    waves.tick(wave)
    waves.agents(wave).update(state=state)

    waves.prepare()

    assert waves.states(wave) == [state]
    assert Workspace.objects.get().state == "creating"


CAPABLE = {"programs": {}, "presets_problem": "", "limits_problem": "", "view_problem": ""}


def test_agents_that_build_see_their_workspaces_at_one_path(waves, source, home):
    (source / "Cargo.toml").write_text("[workspace]\n")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "crates")
    Host.objects.update(equipment=CAPABLE)
    wave = waves.start(agents=2, step_size=0)
    waves.tick(wave)

    waves.prepare()

    views = [agent.view for agent in waves.agents(wave)]
    seen = f"{home}/builds/views/{wave.repository_id}"
    assert [[place for _, place in view[:2]] for view in views] == [
        [f"{seen}/workspace", f"{seen}/built"]
    ] * 2
    assert [view[0][0] for view in views] == [agent.workspace_path for agent in waves.agents(wave)]
    assert {agent.environment["SWARMYARD_BUILD_DIRS"] for agent in waves.agents(wave)} == {f"{seen}/built"}
    base = Base.objects.get()
    assert (base.state, base.wanted, base.repository) == ("queued", wave.base_commit, wave.repository)


def test_agents_that_do_not_build_are_shown_nothing(waves):
    Host.objects.update(equipment=CAPABLE)
    wave = waves.start(agents=2, step_size=0)
    waves.tick(wave)

    waves.prepare()

    assert [agent.view for agent in waves.agents(wave)] == [[], []]
    assert not Base.objects.exists()
