"""A build that is over, as a sample: agents don't report their builds themselves, the shims do."""

import hashlib

from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import Build, BuildState
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
    workspace = getattr(agent, "workspace", None)
    return Frame(
        agent=agent.pk,
        group=agent.group,
        role=agent.role,
        client=hashlib.sha256(f"{build.host_id} {build.report}".encode()).hexdigest()[:32],
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
