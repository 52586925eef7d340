"""Presets as the form shows them: with whether their program is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.fleet.domain.preset import Preset
from apps.fleet.equipment import presence_of
from apps.fleet.models import Host
from apps.fleet.readings import hosts_for_agents


@dataclass(frozen=True, slots=True)
class PresetLine:
    name: str
    title: str
    installed: bool
    state: str
    hint: str


def preset_lines(presets: dict[str, Preset], now: datetime) -> list[PresetLine]:
    hosts = hosts_for_agents(now)
    return [line_of(preset, hosts, now) for preset in presets.values()]


def line_of(preset: Preset, hosts: Sequence[Host], now: datetime) -> PresetLine:
    if preset.executable == "{command}":
        return PresetLine(preset.name, preset.title, True, "any program on PATH", preset.install_hint)
    presence = presence_of(preset, hosts, now)
    state = f"{'installed' if presence.found else 'not installed'} on {presence.where}"
    return PresetLine(preset.name, preset.title, presence.found, state, preset.install_hint)
