"""The presets that come with Swarmyard, and the operator's own from `$SWARMYARD_HOME/presets/`."""

import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.fleet.domain.preset import Preset, PresetError, parse_preset
from apps.lib.regular import read_regular

BUILT_IN = Path(__file__).parent
MAX_FILE_BYTES = 65_536


def load_presets(extra_dir: Path | None = None) -> dict[str, Preset]:
    """Presets by name, sorted. A file of the operator's replaces the built-in one of its name.

    Raises PresetError, which names the file.
    """
    built_in = _read_directory(BUILT_IN)
    own = _read_directory(extra_dir) if extra_dir is not None and extra_dir.is_dir() else {}
    mappings = built_in | {name: _extended(name, mapping, built_in) for name, mapping in own.items()}
    return {name: parse_preset(name, mapping) for name, mapping in sorted(mappings.items())}


def find_executable(
    preset: Preset, path_env: str, *, command: Sequence[str] = (), workspace: Path | None = None
) -> Path | None:
    """The program that the preset starts, looked up in `path_env` alone; None where it isn't installed.

    The preset `command` starts the first word of the command, which may be a path in the workspace.
    """
    if preset.executable == "{python}":
        return Path(sys.executable)
    name = preset.executable
    if name == "{command}":
        if not command:
            return None
        name = command[0]
    if "/" in name:
        name = str((workspace or Path.cwd()) / name)
    found = shutil.which(name, path=path_env)
    return Path(found) if found else None


def _read_directory(directory: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: _read(path) for path in sorted(directory.glob("*.toml"))}


def _read(path: Path) -> dict[str, Any]:
    try:
        # A link is fine here: configuration is often mounted or kept elsewhere.
        content = read_regular(path, MAX_FILE_BYTES + 1, follow=True)
        if len(content) > MAX_FILE_BYTES:
            raise PresetError(f"{path} has more than {MAX_FILE_BYTES} bytes.")
        return tomllib.loads(content.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise PresetError(f"{path} can't be read: {error}") from error


def _extended(name: str, mapping: dict[str, Any], built_in: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`extends = "codex"` starts from a built-in preset; keys given here replace its, variables are added."""
    if "extends" not in mapping:
        return mapping
    base = built_in.get(mapping["extends"]) if isinstance(mapping["extends"], str) else None
    if base is None:
        raise PresetError(f"preset {name}: extends must name one of {', '.join(sorted(built_in))}")
    merged = base | {key: value for key, value in mapping.items() if key != "extends"}
    if isinstance(mapping.get("env_add"), dict):
        merged["env_add"] = base.get("env_add", {}) | mapping["env_add"]
    return merged
