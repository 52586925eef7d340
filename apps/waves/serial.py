"""Waves as data, for the API and for `--json`: one shape."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from apps.fleet.domain.spending import Spending
from apps.fleet.models import Agent
from apps.fleet.spending import ledger_of
from apps.waves.domain.progress import Progress
from apps.waves.models import Wave
from apps.waves.queries import progress as progress_of


def wave_data(
    wave: Wave, progress: Progress | None = None, spending: Spending | None = None
) -> dict[str, Any]:
    """`progress`, `spending`: where they are known already, as for many waves at once."""
    progress = progress or progress_of(wave, timezone.now())
    return {
        "id": wave.pk,
        "wave": wave.label,
        "title": wave.title,
        "state": wave.state,
        "reason": wave.reason,
        "waiting_for": wave.waiting_for,
        "repository": wave.repository.name,
        "base_commit": wave.base_commit,
        "preset": wave.preset,
        "role": wave.role,
        "command": wave.command,
        "agents": wave.size,
        "step_size": wave.step_size,
        "pause_ms": wave.pause_ms,
        "memory_budget_mb": wave.memory_budget_mb,
        "restart_policy": wave.restart_policy,
        "created_by": wave.created_by,
        "created_at": wave.created_at,
        "ended_at": wave.ended_at,
        "spending": asdict(spending or ledger_of(Agent.objects.filter(group=wave.label)).whole),
        "progress": asdict(progress) | {"total": progress.total},
    }
