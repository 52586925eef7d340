"""cargo's command line: which commands build, in which mode, and where."""

from __future__ import annotations

import os

from agentkit.building import keys
from agentkit.building.plan import Plan

DIRECTORIES = "SWARMYARD_BUILD_DIRS"  # holds a directory for each key
SCHEME = "SWARMYARD_BUILD_SCHEME"
WRAPPER = "SWARMYARD_RUSTC_WRAPPER"
JOBSERVER = "SWARMYARD_BUILD_JOBSERVER"  # the directory of the one that builds share
PATIENT = "SWARMYARD_BUILD_PATIENT"  # set for what nobody waits for

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
    plan = Plan("cargo", dict(environment), mode=mode_of(command, rest))
    plan.patient = bool(environment.get(PATIENT))
    plan.short = plan.mode == "check" and not plan.patient
    plan.leaves_slot = command in ("run", "r")
    if root := environment.get(DIRECTORIES):
        choose_directory(plan, root, argv, rest)
    if wrapper := environment.get(WRAPPER):
        choose_wrapper(plan, wrapper)
    if plan.is_build and not chooses_jobs(rest, environment):
        plan.jobserver = environment.get(JOBSERVER, "")
    return plan


def choose_directory(plan: Plan, root: str, argv: list[str], rest: list[str]) -> None:
    """The user's own choice wins. One in `--target-dir` is known to cargo alone."""
    own = plan.environment.get("CARGO_TARGET_DIR") or plan.environment.get("CARGO_BUILD_TARGET_DIR")
    if own:
        plan.directory = own
        plan.note(f"CARGO_TARGET_DIR is set, so this builds in {own}; unset it for a directory of your own")
    elif not has_option(rest, "--target-dir"):
        scheme = plan.environment.get(SCHEME) or keys.LEAN
        plan.parts = keys.parts_of(scheme, argv, plan.mode, plan.environment, os.getcwd())  # noqa: PTH109
        plan.directory = os.path.join(root, keys.key_of(plan.parts))  # noqa: PTH118
        plan.environment["CARGO_TARGET_DIR"] = plan.directory


def choose_wrapper(plan: Plan, wrapper: str) -> None:
    """Not where the directory is warm: what a developer compiles again and again, rustc does incrementally, and no
    cache can hold that."""
    if own := plan.environment.get("RUSTC_WRAPPER") or plan.environment.get("CARGO_BUILD_RUSTC_WRAPPER"):
        plan.note(f"RUSTC_WRAPPER is set, so {own} is used; unset it for the yard's compiler cache")
    elif (
        (plan.mode == "release" or is_cold(plan))
        and os.access(wrapper, os.X_OK)
        and not configured_wrapper(plan)
    ):
        plan.environment["RUSTC_WRAPPER"] = wrapper


def is_cold(plan: Plan) -> bool:
    return plan.is_build and not os.path.isdir(os.path.join(plan.directory, "debug"))  # noqa: PTH112, PTH118


def chooses_jobs(rest: list[str], environment: dict[str, str]) -> bool:
    """Whether the user says how many compilers run: by `-j`, beside which cargo would warn of a jobserver, or by a
    jobserver of his own."""
    words = " ".join(environment.get(name, "") for name in ("CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"))
    short = any(word.startswith("-") and not word.startswith("--") and "j" in word for word in rest)
    return "--jobserver" in words or short or has_option(rest, "--jobs")


def configured_wrapper(plan: Plan) -> bool:
    """Whether one of cargo's own files names a wrapper, which a variable of ours would beat."""
    home = plan.environment.get("CARGO_HOME") or os.path.join(plan.environment.get("HOME", "/"), ".cargo")  # noqa: PTH118
    names = ("config.toml", "config")
    files = [os.path.join(home, name) for name in names]  # noqa: PTH118
    place = os.getcwd()  # noqa: PTH109
    while True:
        files += [os.path.join(place, ".cargo", name) for name in names]  # noqa: PTH118
        if place == os.path.dirname(place):  # noqa: PTH120
            return any(b"rustc-wrapper" in keys.contents(file) for file in files)
        place = os.path.dirname(place)  # noqa: PTH120


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
