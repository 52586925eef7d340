"""Which key scheme build directories should have: one directory for each toolchain and flags (lean), or one for each
mode, set of features and lock file as well (strict).

A cold agent of each does what agents do: it checks, tests and builds, edits a file and does that again, then gives a
crate another version, which changes the lock file, and does it a third time. Arms take turns.
"""

import re
import shutil
import tempfile
from pathlib import Path

from builds import BUILD, MB, files_to_edit, own_bytes
from report import Figure, machine, median, options, say, show
from rust_workspace import make_workspace
from warm_yard import BuildingAgent, WarmYard, set_up

SCHEMES = ("lean", "strict")
STEPS = ("first", "edit", "bump")


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    directory = Path(tempfile.mkdtemp(prefix="yard-bench-", dir="/tmp"))
    try:
        sizes = {"crates": 6, "modules": 2} if chosen.quick else {"crates": 12, "modules": 6}
        source = make_workspace(directory / "source", **sizes)
        set_up(directory / "home")
        figures = schemes(WarmYard(source, "main"), 1 if chosen.quick else 3)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show("build_keys", where, figures, as_json=chosen.json)


def schemes(yard: WarmYard, rounds: int) -> list[Figure]:
    seconds: dict[tuple[str, str], list[float]] = {(step, scheme): [] for step in STEPS for scheme in SCHEMES}
    disk: dict[str, list[float]] = {scheme: [] for scheme in SCHEMES}
    path = files_to_edit(yard.source, 1)[0]
    for number in range(rounds):
        for scheme in SCHEMES:
            agent = yard.agent(warm=False)
            agent.environment["SWARMYARD_BUILD_SCHEME"] = scheme
            for step in STEPS:
                if step == "edit":
                    agent.edit(path, number)
                elif step == "bump":
                    bump(agent, path)
                seconds[step, scheme].append(agent.build(BUILD))
            disk[scheme].append(own_bytes(agent) / MB)
            shutil.rmtree(agent.built)
        said = "; ".join(f"{step} {scheme} {taken[-1]:.1f} s" for (step, scheme), taken in seconds.items())
        say(f"round {number + 1}: {said}")
    return [
        *(
            Figure(f"{step}_{scheme}_s", median(taken), "s", None, "lower")
            for (step, scheme), taken in seconds.items()
        ),
        *(Figure(f"disk_{scheme}_mb", median(sizes), "MB", None, "lower") for scheme, sizes in disk.items()),
        *(
            Figure(
                f"{step}_ratio_strict",
                median(
                    [s / ln for s, ln in zip(seconds[step, "strict"], seconds[step, "lean"], strict=True)]
                ),
                "times",
                None,
                "lower",
            )
            for step in STEPS
        ),
    ]


def bump(agent: BuildingAgent, path: str) -> None:
    """The next version of the crate that the file `path` is of."""
    manifest = next(
        place / "Cargo.toml" for place in (agent.path / path).parents if (place / "Cargo.toml").exists()
    )
    text = manifest.read_text()
    changed = re.sub(r'(?m)^version = "(\d+)\.\d+\.\d+"', r'version = "\1.9.9"', text, count=1)
    if changed == text:
        raise RuntimeError(f"{manifest} has no version")
    manifest.write_text(changed)


if __name__ == "__main__":
    main()
