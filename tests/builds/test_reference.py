"""`docs/reference/builds.md` names what is there."""

import re
from pathlib import Path

from agentkit.building import cargo, keys
from apps.builds.domain.lock_waits import LockKind
from apps.builds.models import BuildOptions, BuildState, Scheme

TEXT = (Path(__file__).parents[2] / "docs/reference/builds.md").read_text()


def first_cells(heading: str) -> set[str]:
    """What the first cells of the table below the line that starts with `heading` name."""
    table = TEXT.split(f"\n{heading}", 1)[1].split("\n\n")[0]
    cells = [line.strip("|").split("|")[0] for line in table.splitlines()[2:]]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_it_names_every_kind_of_lock():
    assert first_cells("| kind |") == set(LockKind)


def test_it_names_every_state():
    assert first_cells("| state |") == set(BuildState)


def test_it_names_every_mode():
    assert first_cells("| mode |") == set(cargo._MODES.values())


def test_it_names_every_scheme():
    assert first_cells("| scheme |") == set(Scheme) == {keys.LEAN, keys.STRICT}


def test_it_names_every_option():
    own = {field.name for field in BuildOptions._meta.get_fields()} - {"id", "repository"}
    assert first_cells("| option |") == own


def test_it_names_what_the_shims_read():
    sources = "".join(path.read_text() for path in Path(cargo.__file__).parent.glob("*.py"))
    read = set(re.findall(r'"(SWARMYARD_(?:BUILD|SHIMS|RUSTC)\w*)"', sources))

    assert read
    assert read <= first_cells("| variable |")
