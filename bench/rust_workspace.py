"""A Rust workspace of path dependencies alone, with code of real size: libraries and a program."""

import subprocess
import zlib
from pathlib import Path

MODULE = """use std::collections::{{BTreeMap, HashMap}};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record{n} {{ pub id: u64, pub name: String, pub tags: Vec<String>, pub parent: Option<Box<Record{n}>> }}

#[derive(Clone, Debug, PartialEq)]
pub enum Step{n} {{ Add(u64), Rename(String), Tag {{ key: String, value: String }}, Drop, Nest(Vec<Step{n}>) }}

#[derive(Debug)]
pub enum Fault{n} {{ Empty, Number(std::num::ParseIntError), Unknown(String) }}

impl fmt::Display for Fault{n} {{
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {{
        match self {{
            Fault{n}::Empty => write!(out, "nothing given"),
            Fault{n}::Number(error) => write!(out, "no number: {{error}}"),
            Fault{n}::Unknown(word) => write!(out, "unknown step {{word:?}}"),
        }}
    }}
}}

impl std::str::FromStr for Step{n} {{
    type Err = Fault{n};
    fn from_str(text: &str) -> Result<Self, Self::Err> {{
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {{
            (None, _, _) => Err(Fault{n}::Empty),
            (Some("add"), Some(word), None) => word.parse().map(Step{n}::Add).map_err(Fault{n}::Number),
            (Some("rename"), Some(name), None) => Ok(Step{n}::Rename(name.to_string())),
            (Some("tag"), Some(key), Some(value)) => Ok(Step{n}::Tag {{ key: key.into(), value: value.into() }}),
            (Some("drop"), None, None) => Ok(Step{n}::Drop),
            (Some(word), _, _) => Err(Fault{n}::Unknown(word.to_string())),
        }}
    }}
}}

impl Record{n} {{
    pub fn new(id: u64, name: &str) -> Self {{
        Record{n} {{ id, name: name.to_string(), tags: Vec::new(), parent: None }}
    }}

    pub fn apply(&mut self, step: &Step{n}) -> usize {{
        match step {{
            Step{n}::Add(amount) => {{ self.id = self.id.wrapping_add(*amount); 1 }}
            Step{n}::Rename(name) => {{ self.name.clone_from(name); 1 }}
            Step{n}::Tag {{ key, value }} => {{ self.tags.push(format!("{{key}}={{value}}")); 1 }}
            Step{n}::Drop => {{ self.tags.clear(); self.parent = None; 1 }}
            Step{n}::Nest(steps) => {{
                let before = self.clone();
                let count = steps.iter().map(|step| self.apply(step)).sum();
                self.parent = Some(Box::new(before));
                count
            }}
        }}
    }}

    pub fn depth(&self) -> usize {{ self.parent.as_ref().map_or(0, |parent| 1 + parent.depth()) }}
}}

pub fn by_first_letter(records: &[Record{n}]) -> BTreeMap<char, Vec<&Record{n}>> {{
    let mut found: BTreeMap<char, Vec<&Record{n}>> = BTreeMap::new();
    for record in records {{
        if let Some(letter) = record.name.chars().next() {{ found.entry(letter).or_default().push(record); }}
    }}
    for list in found.values_mut() {{ list.sort_by(|one, two| one.name.cmp(&two.name).then(two.id.cmp(&one.id))); }}
    found
}}

pub fn counts(records: &[Record{n}]) -> HashMap<String, (usize, u64)> {{
    records.iter().flat_map(|record| record.tags.iter().map(move |tag| (tag, record))).fold(
        HashMap::new(),
        |mut all, (tag, record)| {{
            let entry = all.entry(tag.clone()).or_insert((0, 0));
            entry.0 += 1;
            entry.1 = entry.1.wrapping_add(record.id);
            all
        }},
    )
}}

pub fn total() -> u64 {{
    let steps = ["add {n}", "tag a b", "rename x{n}", "tag c d", "nothing"];
    let mut record = Record{n}::new({n}, "first");
    let parsed: Vec<Step{n}> = steps.iter().filter_map(|text| text.parse().ok()).collect();
    record.apply(&Step{n}::Nest(parsed));
    let all = vec![record.clone(), Record{n}::new(1, "second")];
    record.id + record.depth() as u64 + counts(&all).len() as u64 + by_first_letter(&all).len() as u64
}}

#[cfg(test)]
mod tests {{
    use super::*;

    #[test]
    fn it_applies_steps() {{ assert_eq!(total(), {n} * 2 + 5); }}
}}
"""


def make_workspace(place: Path, *, members: int, libraries: int, modules: int) -> Path:
    """A git repository on `main`, with crates of `modules` files each. Members are a tree: each needs the one halfway
    to the first, and the program needs them all. Libraries are what crates of others are elsewhere: nobody edits them,
    and they are no members."""
    below = [f"libraries/library{number:02}" for number in range(libraries)]
    names = [f"member{number:02}" for number in range(members)]
    listed = ", ".join(f'"{name}"' for name in [*names, "program"])
    top = f'[workspace]\nresolver = "2"\nmembers = [{listed}]\nexclude = ["libraries"]\n'
    write(place / "Cargo.toml", top)
    write(place / ".gitignore", "target\n")
    for number, path in enumerate(below):
        library(place, path, below[max(0, number - 2) : number], modules)
    for number, name in enumerate(names):
        parent = names[(number - 1) // 2 : (number + 1) // 2][:1]
        library(place, name, parent + below[number::members], modules)
    manifest(place, "program", names)
    total = " + ".join(f"{name}::total()" for name in names)
    write(place / "program" / "src" / "main.rs", f'fn main() {{ println!("{{}}", {total}); }}\n')
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=place, check=True, capture_output=True)
    subprocess.run(["git", "init", "-q", "-b", "main", str(place)], check=True)
    subprocess.run(["git", "-C", str(place), "add", "-A"], check=True)
    commit = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-q", "-m", "all"]
    subprocess.run(["git", "-C", str(place), *commit], check=True)
    return place


def library(place: Path, path: str, needs: list[str], modules: int) -> None:
    manifest(place, path, needs)
    lines = [f"pub mod m{module};" for module in range(modules)]
    parts = [f"m{module}" for module in range(modules)] + [Path(need).name for need in needs]
    total = " + ".join(f"{part}::total()" for part in parts)
    lines.append(f"pub fn total() -> u64 {{ {total} }}\n")
    write(place / path / "src" / "lib.rs", "\n".join(lines))
    salt = zlib.crc32(path.encode()) % 900
    for module in range(modules):
        write(place / path / "src" / f"m{module}.rs", MODULE.format(n=100 * salt + module))


def manifest(place: Path, path: str, needs: list[str]) -> None:
    lines = [
        "[package]",
        f'name = "{Path(path).name}"',
        'version = "0.1.0"',
        'edition = "2021"',
        "[dependencies]",
    ]
    up = "../" * (path.count("/") + 1)
    lines += [f'{Path(need).name} = {{ path = "{up}{need}" }}' for need in needs]
    write(place / path / "Cargo.toml", "\n".join(lines) + "\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
