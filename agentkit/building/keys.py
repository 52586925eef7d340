"""Which of an agent's build directories a command builds in.

One directory for each set of things that make cargo compile all of it again: with two of them in one directory, each
would throw away what the other made. The lean scheme keeps toolchains and compiler flags apart, as cargo keeps target
triples, profiles and features apart itself. The strict one has a directory for each lock file, mode and set of features
as well: bumping one dependency then begins with nothing.

Either way another checkout than the agent's own, wherever it lies, has its own: cargo tells files of a workspace by
their paths inside of it, and would take those of one for the other's.
"""

from __future__ import annotations

import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LEAN, STRICT = "lean", "strict"
LONGEST = 64 * 1024
_FLAGS = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS")
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def key_of(parts: Mapping[str, str]) -> str:
    """A directory's name: its toolchain for people, and a checksum of everything."""
    words = parts["toolchain"].split()
    slug = "".join(letter for letter in (words[-1] if words else "").lower() if letter in _SLUG)[:24].strip(
        "."
    )
    content = "\0".join(f"{name}={parts[name]}" for name in sorted(parts))
    return f"{slug or 'default'}-{zlib.crc32(content.encode('utf-8', 'surrogateescape')):08x}"


def parts_of(
    scheme: str, argv: list[str], mode: str, environment: Mapping[str, str], cwd: str
) -> dict[str, str]:
    parts = {
        "toolchain": toolchain_of(argv, environment, cwd),
        "flags": " ".join(environment[name] for name in _FLAGS if environment.get(name)),
    }
    if other := other_checkout(argv, environment, cwd):
        parts["checkout"] = other
    if scheme == STRICT:
        lock = found_upward(cwd, ("Cargo.lock",))
        parts |= {
            "mode": mode,
            "features": " ".join(sorted(features_of(argv))),
            "target": " ".join(values_of(argv, "--target")) or environment.get("CARGO_BUILD_TARGET", ""),
            "lock": f"{zlib.crc32(contents(lock)):08x}" if lock else "",
        }
    return parts


def other_checkout(argv: list[str], environment: Mapping[str, str], cwd: str) -> str:
    """Where the command builds, when that isn't the workspace of the agent; empty for that."""
    own = environment.get("SWARMYARD_WORKSPACE")
    if not own:
        return ""
    place = checkout_of(place_of(argv, cwd))
    return "" if place == os.path.realpath(own) else place


def place_of(argv: list[str], cwd: str) -> str:
    """The directory whose package the command is about, as far as its arguments tell."""
    place = cwd
    for directory in values_of(argv, "-C"):
        place = os.path.join(place, directory)  # noqa: PTH118
    for manifest in values_of(argv, "--manifest-path")[-1:]:
        place = os.path.dirname(os.path.join(place, manifest))  # noqa: PTH118, PTH120
    return os.path.realpath(place)


def checkout_of(place: str) -> str:
    """The nearest directory from `place` upward that git knows, else the outermost with a Cargo.toml, else `place`."""
    outermost, here = place, place
    while True:
        if os.path.lexists(os.path.join(here, ".git")):  # noqa: PTH118
            return here
        if os.path.exists(os.path.join(here, "Cargo.toml")):  # noqa: PTH110, PTH118
            outermost = here
        above = os.path.dirname(here)  # noqa: PTH120
        if above == here:
            return outermost
        here = above


def toolchain_of(argv: list[str], environment: Mapping[str, str], cwd: str) -> str:
    """What rustup will choose, as far as that can be told without asking it, which would take 20 ms."""
    if argv and argv[0].startswith("+"):
        return argv[0][1:]
    if chosen := environment.get("RUSTUP_TOOLCHAIN"):
        return chosen
    if file := found_upward(cwd, ("rust-toolchain.toml", "rust-toolchain")):
        return named_in(contents(file).decode("utf-8", "replace"))
    home = environment.get("RUSTUP_HOME") or os.path.join(environment.get("HOME", "/"), ".rustup")  # noqa: PTH118
    settings = contents(os.path.join(home, "settings.toml")).decode("utf-8", "replace")  # noqa: PTH118
    return value_in(settings, "default_toolchain")


def named_in(text: str) -> str:
    """Of a rust-toolchain file: its channel or path, or the one line that older ones are."""
    for name in ("channel", "path"):
        if found := value_in(text, name):
            return found
    return text.strip().partition("\n")[0][:100] if "[" not in text else ""


def value_in(text: str, name: str) -> str:
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == name:
            return value.partition("#")[0].strip().strip("\"'")
    return ""


def features_of(argv: list[str]) -> list[str]:
    found = [word for word in argv if word in ("--all-features", "--no-default-features")]
    for value in values_of(argv, "--features") + values_of(argv, "-F"):
        found += value.replace(",", " ").split()
    return found


def values_of(argv: list[str], name: str) -> list[str]:
    """Each `--name VALUE` and `--name=VALUE`."""
    found = []
    for index, word in enumerate(argv):
        given, has_value, value = word.partition("=")
        if given == name:
            found.append(value if has_value else "".join(argv[index + 1 : index + 2]))
    return found


def found_upward(cwd: str, names: tuple[str, ...]) -> str:
    """The path of the first of `names` in `cwd` or above it; empty without one."""
    place = cwd
    while True:
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118
            if os.path.isfile(path):  # noqa: PTH113
                return path
        above = os.path.dirname(place)  # noqa: PTH120
        if above == place:
            return ""
        place = above


def contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(LONGEST)
    except OSError:
        return b""
