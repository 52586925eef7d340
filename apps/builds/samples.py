"""A build that is over, or git that was refused a lock, as a sample: agents don't report these themselves."""

import hashlib

from apps.builds.domain.git_traces import GitCommand
from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import Build, BuildState
from apps.fleet.models import Agent
from apps.telemetry.domain.sample import Sample
from apps.telemetry.ingest import Frame, encode_body

ONCE = 1  # each build is a client of its own with a single frame, so that telling it twice counts once


def frame_of(build: Build) -> Frame | None:
    """None for what nobody's figures can hold: no agent built, or it isn't known how long."""
    agent = build.agent
    if agent is None or build.ended_at is None or build.state == BuildState.LOST:
        return None
    ms = max(0.0, (build.ended_at - build.asked_at).total_seconds() * 1000)
    waits = waits_of(build)
    sample = Sample(
        kind=f"build.{build.mode}" if build.mode else "build",
        end=build.ended_at.timestamp(),
        ms=ms,
        wait_ms=min(ms, sum(waits.values())),
        outcome="ok" if build.state == BuildState.PASSED else "error",
        wait_kind=max(waits, key=waits.__getitem__) if waits else "",
        memory=build.memory_bytes or 0,
        note=build.arguments[:200],
    )
    return frame(agent, f"{build.host_id} {build.report}", sample)


def git_frame_of(command: GitCommand) -> Frame | None:
    agent = (
        Agent.objects.select_related("host", "workspace__repository").filter(pk=command.agent or 0).first()
    )
    if agent is None or command.refusal is None or command.ended is None:
        return None
    ms = max(0.0, (command.ended - command.began) * 1000)
    sample = Sample(
        kind=git_kind(command.name),
        end=command.ended,
        ms=ms,
        wait_ms=min(ms, command.refusal.ms),
        outcome="error" if command.code else "ok",
        wait_kind=LockKind.GIT,
        note=command.refusal.path[-200:],
    )
    return frame(agent, f"git {agent.host_id} {command.session} {command.pid}", sample)


def git_kind(name: str) -> str:
    """As a kind of sample may be written."""
    known = name.isascii() and name.replace("-", "").isalnum() and name.islower()
    return f"git.{name}"[:64] if known else "git"


def frame(agent: Agent, name: str, sample: Sample) -> Frame:
    """`name`: of what it is about, on all hosts."""
    workspace = getattr(agent, "workspace", None)
    return Frame(
        agent=agent.pk,
        group=agent.group,
        role=agent.role,
        client=hashlib.sha256(name.encode()).hexdigest()[:32],
        seq=ONCE,
        body=encode_body([sample]),
        host=agent.host.name,
        repository=workspace.repository.name if workspace else "",
    )


def waits_of(build: Build) -> dict[str, float]:
    """Milliseconds by kind of lock."""
    waits: dict[str, float] = {}
    for kind, ms in build.waits.values_list("kind", "ms"):
        waits[kind] = waits.get(kind, 0.0) + ms
    if build.slot_wait_ms and LockKind.SLOT not in waits:
        waits[LockKind.SLOT] = build.slot_wait_ms
    return waits
