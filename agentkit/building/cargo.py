"""cargo's command line: which commands build, in which mode, and where."""

from __future__ import annotations

from agentkit.building.plan import Plan

DIRECTORY = "SWARMYARD_BUILD_DIR"
WRAPPER = "SWARMYARD_RUSTC_WRAPPER"

# Mode by command. Others (fmt, tree, metadata, clean, …) compile nothing, and aliases and unknown ones come here again
# through $CARGO or PATH when they build.
_MODES = {
    "check": "check", "c": "check", "clippy": "check", "fix": "check",
    "build": "dev", "b": "dev", "rustc": "dev", "run": "dev", "r": "dev", "doc": "dev", "d": "dev", "rustdoc": "dev",
    "test": "test", "t": "test", "nextest": "test", "miri": "test",
    "bench": "release", "install": "release",
}  # fmt: skip
_RELEASE = {"--release", "-r"}
_TAKES_VALUE = {"--color", "--config", "-Z", "-C", "--explain"}


def plan_for(argv: list[str], environment: dict[str, str]) -> Plan:
    command, rest = command_of(argv)
    mode = mode_of(command, rest)
    changed, notes = dict(environment), []
    directory = environment.get(DIRECTORY, "")
    if directory:
        own = environment.get("CARGO_TARGET_DIR") or environment.get("CARGO_BUILD_TARGET_DIR")
        if own or has_option(rest, "--target-dir"):
            directory = own or ""
            if mode and own:
                notes.append(f"CARGO_TARGET_DIR is set, so this builds in {own}")
        else:
            changed["CARGO_TARGET_DIR"] = directory
    if wrapper := environment.get(WRAPPER, ""):
        if own := environment.get("RUSTC_WRAPPER") or environment.get("CARGO_BUILD_RUSTC_WRAPPER"):
            if mode:
                notes.append(f"RUSTC_WRAPPER is set, so {own} is used")
        else:
            changed["RUSTC_WRAPPER"] = wrapper
    return Plan(
        "cargo",
        changed,
        mode=mode,
        directory=directory,
        short=mode == "check",
        leaves_slot=command in ("run", "r"),
        notes=notes,
    )


def command_of(argv: list[str]) -> tuple[str, list[str]]:
    """The command's name, and what follows it up to a `--`."""
    words = iter(range(len(argv)))
    for index in words:
        word = argv[index]
        if word in _TAKES_VALUE:
            next(words, None)
        elif not word.startswith(("-", "+")):
            rest = argv[index + 1 :]
            return word, rest[: rest.index("--")] if "--" in rest else rest
    return "", []


def mode_of(command: str, rest: list[str]) -> str:
    mode = _MODES.get(command, "")
    if not mode or {"--help", "-h"} & set(rest):
        return ""
    if mode in ("dev", "test") and (_RELEASE & set(rest) or has_option(rest, "--profile", "release")):
        return "release"
    return mode


def has_option(rest: list[str], name: str, value: str | None = None) -> bool:
    """`--name`, `--name VALUE` or `--name=VALUE`; with this value, if one is asked for."""
    for index, word in enumerate(rest):
        given, has_value, found = word.partition("=")
        if given == name:
            if value is None:
                return True
            if (found if has_value else "".join(rest[index + 1 : index + 2])) == value:
                return True
    return False
