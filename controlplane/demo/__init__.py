"""The repository that the demo's agents work on: a small library of unit conversions, in Python and in Rust."""

import shutil
from pathlib import Path

from apps.lib.process import check, run

from . import rust

# quantity -> unit -> how many of the first unit one of it is
QUANTITIES: dict[str, dict[str, float]] = {
    "length": {
        "metre": 1.0,
        "kilometre": 1000.0,
        "inch": 0.0254,
        "foot": 0.3048,
        "yard": 0.9144,
        "mile": 1609.344,
    },
    "mass": {
        "gram": 1.0,
        "kilogram": 1000.0,
        "ounce": 28.349523125,
        "pound": 453.59237,
        "tonne": 1_000_000.0,
    },
    "time": {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0},
    "area": {"square_metre": 1.0, "hectare": 10_000.0, "acre": 4046.8564224, "square_foot": 0.09290304},
    "volume": {
        "litre": 1.0,
        "millilitre": 0.001,
        "gallon": 3.785411784,
        "pint": 0.473176473,
        "cubic_metre": 1000.0,
    },
    "speed": {
        "metre_per_second": 1.0,
        "kilometre_per_hour": 1 / 3.6,
        "knot": 0.514444,
        "mile_per_hour": 0.44704,
    },
    "pressure": {"pascal": 1.0, "bar": 100_000.0, "atmosphere": 101_325.0, "psi": 6894.757293168},
    "energy": {"joule": 1.0, "calorie": 4.184, "kilowatt_hour": 3_600_000.0, "electronvolt": 1.602176634e-19},
}
IDENTITY = ("-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")


def make_repository(path: Path) -> Path:
    """A new repository at `path` with one commit on `main`; one that is there already is taken as it is."""
    if (path / ".git").is_dir():
        return path
    for name, text in files().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    git = ["git", "-C", str(path), *IDENTITY]
    for words in (["init", "--quiet"], ["symbolic-ref", "HEAD", "refs/heads/main"], ["add", "--all"]):
        check([*git, *words], timeout=30)
    check([*git, "commit", "--quiet", "--no-verify", "-m", "Conversions of eight quantities"], timeout=30)
    return path


def files() -> dict[str, str]:
    found = {
        "README.md": readme(),
        "measures/__init__.py": '"""Conversions between units of measure."""\n',
        "tests/__init__.py": "",
        ".gitignore": "/target/\n__pycache__/\n",
    }
    for quantity, units in QUANTITIES.items():
        found[f"measures/{quantity}.py"] = python_module(quantity, units)
        found[f"tests/test_{quantity}.py"] = python_test(quantity, units)
        found[f"docs/{quantity}.md"] = document(quantity, units)
    return found | rust.files(QUANTITIES)


def rust_builds(repository: Path) -> bool:
    """Whether agents can build the Rust half: repositories of older versions have none that cargo finds."""
    if not shutil.which("cargo") or not (repository / "Cargo.toml").is_file():
        return False
    return run(["cargo", "--version"], timeout=30).ok  # rustup's stands also where no toolchain is


def readme() -> str:
    listed = "\n".join(f"- [{quantity}](docs/{quantity}.md)" for quantity in QUANTITIES)
    return f"# Measures\n\nConversions between units of measure, in Python and Rust.\n\n{listed}\n"


def python_module(quantity: str, units: dict[str, float]) -> str:
    first = next(iter(units))
    table = "".join(f'    "{unit}": {factor!r},\n' for unit, factor in units.items())
    functions = "".join(
        f"\n\ndef {unit}_to_{first}(value: float) -> float:\n"
        f'    """`value` of the unit {unit} as {first}."""\n'
        f'    return value * FACTORS["{unit}"]\n'
        for unit in units
        if unit != first
    )
    return f'"""Units of {quantity}."""\n\nFACTORS = {{\n{table}}}\n{functions}'


def python_test(quantity: str, units: dict[str, float]) -> str:
    first, second = list(units)[:2]
    return (
        f"import unittest\n\nfrom measures import {quantity}\n\n\n"
        f"class {quantity.title()}Test(unittest.TestCase):\n"
        f"    def test_it_converts_{second}_to_{first}(self):\n"
        f"        self.assertAlmostEqual({quantity}.{second}_to_{first}(2), {units[second] * 2!r})\n"
    )


def document(quantity: str, units: dict[str, float]) -> str:
    first = next(iter(units))
    rows = "\n".join(f"| {unit} | {factor:g} |" for unit, factor in units.items())
    return f"# {quantity.title()}\n\n| unit | in {first} |\n|---|---|\n{rows}\n"
