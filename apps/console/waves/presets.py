"""Presets as the form shows them: with whether their program is there."""

import os
from dataclasses import dataclass

from apps.fleet.domain.preset import Preset
from apps.fleet.presets import find_executable


@dataclass(frozen=True, slots=True)
class PresetLine:
    name: str
    title: str
    installed: bool
    state: str
    hint: str


def preset_lines(presets: dict[str, Preset]) -> list[PresetLine]:
    return [line_of(preset) for preset in presets.values()]


def line_of(preset: Preset) -> PresetLine:
    if preset.executable == "{command}":
        return PresetLine(preset.name, preset.title, True, "any program on PATH", preset.install_hint)
    installed = find_executable(preset, os.environ.get("PATH", os.defpath)) is not None
    state = "installed" if installed else "not installed"
    return PresetLine(preset.name, preset.title, installed, state, preset.install_hint)
