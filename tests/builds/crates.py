"""Rust workspaces of path dependencies alone, made up for a test."""

from pathlib import Path


def make_crates(place: Path, needs: dict[str, list[str]], *, binary: str = "") -> Path:
    """A workspace of these crates, each with the names of those it needs; `binary` is one with a main."""
    members = ", ".join(f'"{name}"' for name in needs)
    write(place / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = [{members}]\n')
    for name, others in needs.items():
        lines = ["[package]", f'name = "{name}"', 'version = "0.1.0"', 'edition = "2021"', "[dependencies]"]
        write(
            place / name / "Cargo.toml",
            "\n".join([*lines, *(f'{other} = {{ path = "../{other}" }}' for other in others)]) + "\n",
        )
        total = " + ".join(["1", *(f"{other}::total()" for other in others)])
        if name == binary:
            write(place / name / "src" / "main.rs", f'fn main() {{ println!("{{}}", {total}); }}\n')
        else:
            write(place / name / "src" / "lib.rs", f"pub fn total() -> u64 {{ {total} }}\n")
    return place


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
