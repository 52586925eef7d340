"""How a kind of agent is launched: read from a mapping, checked, and filled in for one launch. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from apps.fleet.domain.output import PARSERS

Stdin = Literal["closed", "prompt"]
Argument = str | tuple[str, ...]

# Linux refuses to start a program with a longer single argument (MAX_ARG_STRLEN), its final NUL included.
MAX_ARGUMENT_BYTES = 131_071

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_PATTERN = re.compile(r"[A-Za-z0-9_*?]+")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)(…|\.\.\.)?\}")
_COMMAND = ("{command…}", "{command...}")


class PresetError(ValueError):
    """A preset that can't be used as it is written. The message says what to change."""


class LaunchRefused(ValueError):
    """Values that don't fit the preset. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class Preset:
    """`argv`: each item is an argument, or a group that is left out when a placeholder in it has no value."""

    name: str
    title: str
    argv: tuple[Argument, ...]
    executable: str
    install_hint: str = ""
    env_add: Mapping[str, str] = field(default_factory=dict)
    env_remove: tuple[str, ...] = ()
    env_keep: tuple[str, ...] = ()
    stdin: Stdin = "closed"
    parser: str = "plain"
    memory_budget_mb: int = 400
    memory_limit_mb: int | None = None
    end_on_result: bool = False
    needs_prompt: bool = False
    needs_command: bool = False
    role: str = "coder"

    @property
    def takes_command(self) -> bool:
        return any(argument in _COMMAND for argument in _flat(self.argv))


@dataclass(frozen=True, slots=True)
class LaunchValues:
    """What placeholders stand for. `project` is the directory that holds `agentkit`.

    `git_dir` is the workspace's own git directory, as `git rev-parse --absolute-git-dir` says there.
    `otlp_headers` holds the agent's token: for its environment alone, as all on the machine may read its arguments.
    """

    workspace: str = ""
    prompt: str = ""
    prompt_file: str = ""
    session_id: str = ""
    git_dir: str = ""
    python: str = ""
    project: str = ""
    otlp_endpoint: str = ""
    otlp_headers: str = ""
    command: tuple[str, ...] = ()

    @property
    def git_common_dir(self) -> str:
        """Where the branches and objects lie: a linked worktree's directory is `worktrees/NAME` in there."""
        path = PurePosixPath(self.git_dir)
        return str(path.parent.parent) if path.parent.name == "worktrees" else self.git_dir


@dataclass(frozen=True, slots=True)
class Launch:
    """`stdin` None means closed. Apply the environment with `launch_environment`."""

    argv: list[str]
    env_add: dict[str, str]
    env_remove: list[str]
    env_keep: list[str]
    stdin: bytes | None


CONFIDENTIAL = "otlp_headers"
PLACEHOLDERS = frozenset(each.name for each in fields(LaunchValues)) | {"git_common_dir"}


def parse_preset(name: str, mapping: Mapping[str, Any]) -> Preset:
    """Raises PresetError for an unknown key, parser or placeholder, a wrong type, or a missing key."""
    try:
        return _parse(name, mapping)
    except PresetError as error:
        raise PresetError(f"preset {name}: {error}") from None


def _parse(name: str, mapping: Mapping[str, Any]) -> Preset:
    if not _NAME.fullmatch(name):
        raise PresetError(
            "its name must be 1 to 40 lowercase letters, digits and dashes, and not start with a dash"
        )
    if unknown := sorted(set(mapping) - set(_READERS)):
        raise PresetError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_READERS))}")
    if missing := [key for key in ("argv", "executable") if key not in mapping]:
        raise PresetError(f"{missing[0]} is missing")
    values: dict[str, Any] = {key: _READERS[key](key, value) for key, value in mapping.items()}
    preset = Preset(**({"name": name, "title": name} | values))
    _check(preset)
    return preset


def _check(preset: Preset) -> None:
    arguments = _flat(preset.argv)
    if not arguments:
        raise PresetError("argv is empty: its first item is the program")
    for text in (*arguments, *preset.env_add.values()):
        _check_placeholders(text)
    if any(word == CONFIDENTIAL for text in arguments for word, _ in _PLACEHOLDER.findall(text)):
        raise PresetError(
            f"{{{CONFIDENTIAL}}} holds a secret, and arguments can be read by all: use it in env_add alone"
        )
    if "{" in preset.executable and preset.executable not in ("{python}", "{command}"):
        raise PresetError("executable must be a name, a path, {python} or {command}")
    if preset.needs_command and not preset.takes_command:
        raise PresetError("needs_command is true, but argv has no {command…}")
    if preset.needs_prompt and preset.stdin != "prompt" and not _mentions(preset, "prompt", "prompt_file"):
        raise PresetError(
            'needs_prompt is true, but stdin isn\'t "prompt" and nothing holds {prompt} or {prompt_file}'
        )
    limit = preset.memory_limit_mb
    if limit is not None and limit < preset.memory_budget_mb:
        raise PresetError(f"memory_limit_mb {limit} is below memory_budget_mb {preset.memory_budget_mb}")


def _check_placeholders(text: str) -> None:
    for word, several in _PLACEHOLDER.findall(text):
        if word not in PLACEHOLDERS:
            raise PresetError(f"unknown placeholder {{{word}}}; known are {', '.join(sorted(PLACEHOLDERS))}")
        if (word == "command") != bool(several) or (several and text not in _COMMAND):
            raise PresetError(
                "write {command…} with its dots, as an argument of its own; nothing else takes dots"
            )


def _mentions(preset: Preset, *words: str) -> bool:
    texts = (*_flat(preset.argv), *preset.env_add.values())
    return any(word in words for text in texts for word, _ in _PLACEHOLDER.findall(text))


def _flat(argv: tuple[Argument, ...]) -> list[str]:
    return [text for item in argv for text in ((item,) if isinstance(item, str) else item)]


def render(preset: Preset, values: LaunchValues) -> Launch:
    """The launch of one agent. Each placeholder's value stays inside its argument and isn't looked at again.

    Raises LaunchRefused when something is missing, doesn't fit, or would be taken for an option.
    """
    _check_values(preset, values)
    argv: list[str] = []
    for item in preset.argv:
        if isinstance(item, str):
            argv.extend(_arguments(preset, item, values, argv))
        elif not any(_missing(text, values) for text in item):
            for text in item:
                argv.extend(_arguments(preset, text, values, argv))
    _check_lengths(argv)
    return Launch(
        argv=argv,
        env_add={
            name: _fill(text, values) for name, text in preset.env_add.items() if not _missing(text, values)
        },
        env_remove=list(preset.env_remove),
        env_keep=list(preset.env_keep),
        stdin=values.prompt.encode("utf-8", "replace") if preset.stdin == "prompt" else None,
    )


def launch_environment(launch: Launch, inherited: Mapping[str, str]) -> dict[str, str]:
    """`inherited` without what the launch removes (unless it keeps it), and with what it adds."""

    def stays(name: str) -> bool:
        removed = any(fnmatchcase(name, pattern) for pattern in launch.env_remove)
        return not removed or any(fnmatchcase(name, pattern) for pattern in launch.env_keep)

    return {name: value for name, value in inherited.items() if stays(name)} | launch.env_add


def _check_values(preset: Preset, values: LaunchValues) -> None:
    if preset.needs_prompt and not values.prompt.strip():
        raise LaunchRefused(f"The preset {preset.name} needs a prompt.")
    if "{" in preset.executable and preset.executable not in ("{python}", "{command}"):
        raise PresetError("executable must be a name, a path, {python} or {command}")
    if preset.needs_command and not values.command:
        raise LaunchRefused(f"The preset {preset.name} needs a command: give it after --.")
    if values.command and not preset.takes_command:
        raise LaunchRefused(f"The preset {preset.name} takes no command and no further options.")
    for word in PLACEHOLDERS:
        value = getattr(values, word)
        if any("\0" in text for text in ([value] if isinstance(value, str) else value)):
            raise LaunchRefused(
                f"The {word.replace('_', ' ')} holds a NUL byte, which no program can be given."
            )


def _arguments(preset: Preset, text: str, values: LaunchValues, before: list[str]) -> list[str]:
    if text in _COMMAND:
        return list(values.command)
    if missing := _missing(text, values):
        raise LaunchRefused(f"The preset {preset.name} needs a {missing.replace('_', ' ')}.")
    filled = _fill(text, values)
    if text.startswith("{prompt}") and filled.startswith("-") and "--" not in before:
        raise LaunchRefused(
            f"{preset.name} would take this prompt for an option: start it with something but a dash."
        )
    return [filled]


def _missing(text: str, values: LaunchValues) -> str:
    return next((word for word, _ in _PLACEHOLDER.findall(text) if not getattr(values, word)), "")


def _fill(text: str, values: LaunchValues) -> str:
    return _PLACEHOLDER.sub(lambda found: str(getattr(values, found.group(1))), text)


def _check_lengths(argv: list[str]) -> None:
    for argument in argv:
        size = len(argument.encode("utf-8", "surrogatepass"))
        if size > MAX_ARGUMENT_BYTES:
            raise LaunchRefused(f"An argument has {size} bytes; the system allows {MAX_ARGUMENT_BYTES}.")


def _string(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise PresetError(f"{key} must be a text that isn't empty")
    return value


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise PresetError(f"{key} must be true or false")
    return value


def _megabytes(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 16_777_216:
        raise PresetError(f"{key} must be a whole number of MB, 1 to 16777216")
    return value


def _stdin(key: str, value: Any) -> str:
    if value not in get_args(Stdin):
        raise PresetError(f'{key} must be "closed" or "prompt"')
    return str(value)


def _parser(key: str, value: Any) -> str:
    if not isinstance(value, str) or value not in PARSERS:
        raise PresetError(f"unknown parser {value!r}; known are {', '.join(sorted(PARSERS))}")
    return value


def _argv(key: str, value: Any) -> tuple[Argument, ...]:
    if not isinstance(value, list):
        raise PresetError(f"{key} must be a list of texts: a shell string is never run")
    return tuple(_group(key, item) if isinstance(item, list) else _argument(key, item) for item in value)


def _group(key: str, value: list[Any]) -> tuple[str, ...]:
    return tuple(_argument(key, item) for item in value)


def _argument(key: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise PresetError(f"{key} must hold texts, or lists of texts that are left out together")
    return value


def _patterns(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(
        isinstance(each, str) and _VARIABLE_PATTERN.fullmatch(each) for each in value
    ):
        return tuple(value)
    raise PresetError(f"{key} must be a list of names of variables, with * and ? where wanted")


def _variables(key: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise PresetError(f"{key} must be a table of names and texts")
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name) or not isinstance(text, str) or "\0" in text:
            raise PresetError(f"{key}.{name} must be the name of a variable and a text")
    return dict(value)


_READERS = {
    "title": _string,
    "argv": _argv,
    "executable": _string,
    "install_hint": _string,
    "env_add": _variables,
    "env_remove": _patterns,
    "env_keep": _patterns,
    "stdin": _stdin,
    "parser": _parser,
    "memory_budget_mb": _megabytes,
    "memory_limit_mb": _megabytes,
    "end_on_result": _truth,
    "needs_prompt": _truth,
    "needs_command": _truth,
    "role": _string,
}
