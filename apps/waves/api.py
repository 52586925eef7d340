from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from apps.access.api_auth import actor_of
from apps.access.roles import require
from apps.events.domain.actor import Role
from apps.fleet.api import SpentOut
from apps.fleet.models import Agent
from apps.fleet.spending import ledger_of
from apps.lib import questions
from apps.waves import actions
from apps.waves.domain.request import WaveRequest
from apps.waves.models import Wave
from apps.waves.planning import plan_wave
from apps.waves.queries import progress_of_all
from apps.waves.serial import wave_data

router = Router(tags=["waves"])


class WaveIn(Schema):
    repository: str = Field(description="name or path of a registered repository")
    preset: str
    agents: int = Field(description="1 to 10,000")
    step_size: int = Field(20, description="agents that start together; 0: all at once")
    pause_ms: int = Field(10, description="milliseconds between steps")
    prompt: str = ""
    command: list[str] = []
    role: str = ""
    memory_budget_mb: int | None = Field(None, description="of each agent; the preset's when left out")
    restart_policy: str = Field("lost", description="never, lost or failure")
    title: str = ""
    idempotency_key: str | None = Field(None, max_length=100)

    def request(self) -> WaveRequest:
        return WaveRequest(**self.dict())


class ProgressOut(Schema):
    planned: int
    preparing: int
    ready: int
    starting: int
    running: int
    waiting: int
    paused: int
    exited: int = Field(description="ended by themselves, and well")
    stopped: int = Field(description="ended because somebody asked for it")
    failed: int
    lost: int
    total: int
    eta_seconds: float | None


class WaveOut(Schema):
    id: int
    wave: str
    title: str
    state: str
    reason: str
    waiting_for: str
    repository: str
    base_commit: str
    preset: str
    role: str
    command: list[str]
    agents: int
    step_size: int
    pause_ms: int
    memory_budget_mb: int
    restart_policy: str
    created_by: str
    created_at: datetime
    ended_at: datetime | None
    spending: SpentOut
    progress: ProgressOut


class PlanOut(Schema):
    errors: dict[str, str]
    steps: list[int] = Field(description="agents in each step")
    admitted: int = Field(description="agents that could start at once")
    waiting_for: str
    memory_mb: int
    disk_mb: int
    base_commit: str
    target: str
    warnings: list[str]


class ScaleIn(Schema):
    agents: int


class RetryOut(Schema):
    retried: int


@router.get("", response=list[WaveOut], summary="List waves, newest first")
def list_waves(request: HttpRequest, open_only: bool = False, limit: int = 100) -> Any:
    rows = Wave.objects.open() if open_only else Wave.objects.all()
    waves = list(rows.select_related("repository").order_by("-pk")[: max(1, min(limit, 1000))])
    progress = progress_of_all(waves, timezone.now())
    ledger = ledger_of(Agent.objects.filter(group__in=[wave.label for wave in waves]))
    return [wave_data(wave, progress[wave.pk], ledger.of_wave(wave.label)) for wave in waves]


@router.post("", response={201: WaveOut}, summary="Start a wave")
def start_wave(request: HttpRequest, body: WaveIn) -> Any:
    wave = actions.start_wave(
        request=body.request(), actor=actor_of(request), now=timezone.now(), ask=questions.ask
    )
    return Status(201, wave_data(wave))


@router.post("/plan", response=PlanOut, summary="Show what starting it would do")
def plan(request: HttpRequest, body: WaveIn) -> Any:
    require(actor_of(request), Role.OPERATOR, "start waves")
    return asdict(plan_wave(body.request(), timezone.now(), questions.ask))


@router.get("/{wave}", response=WaveOut, summary="Show a wave")
def show_wave(request: HttpRequest, wave: str) -> Any:
    return wave_data(find(wave))


@router.post("/{wave}/pause", response=WaveOut, summary="Start nothing further and freeze its agents")
def pause_wave(request: HttpRequest, wave: str) -> Any:
    return steer(request, wave, actions.pause_wave)


@router.post("/{wave}/resume", response=WaveOut, summary="Go on")
def resume_wave(request: HttpRequest, wave: str) -> Any:
    return steer(request, wave, actions.resume_wave)


@router.post("/{wave}/abort", response=WaveOut, summary="Start nothing further and stop its agents")
def abort_wave(request: HttpRequest, wave: str) -> Any:
    return steer(request, wave, actions.abort_wave)


@router.post("/{wave}/scale", response=WaveOut, summary="Change the number of agents")
def scale_wave(request: HttpRequest, wave: str, body: ScaleIn) -> Any:
    return steer(request, wave, actions.scale_wave, size=body.agents)


@router.post("/{wave}/retry", response=RetryOut, summary="Start failed and lost agents again")
def retry_wave(request: HttpRequest, wave: str) -> Any:
    return {"retried": actions.retry_wave(wave=find(wave), actor=actor_of(request), now=timezone.now())}


def steer(request: HttpRequest, wave: str, action: Any, **values: Any) -> Any:
    return wave_data(action(wave=find(wave), actor=actor_of(request), now=timezone.now(), **values))


def find(label: str) -> Wave:
    return get_object_or_404(Wave.objects.select_related("repository"), label=label)
