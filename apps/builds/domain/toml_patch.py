"""Keys that are added to a TOML file of somebody else's, which otherwise stays as it is, comments and all."""

import tomllib
from collections.abc import Mapping
from typing import Any

Value = str | bool | int | list[str]
Wanted = Mapping[tuple[str, ...], Mapping[str, Value]]  # keys by the table that they belong to


class CantPatch(Exception):
    """For people: why it must be done by hand."""


def patched(text: str, wanted: Wanted, *, file: str) -> str:
    """With those of the keys that aren't there yet. Raises CantPatch."""
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CantPatch(f"{file} can't be read: {error}") from error
    for table, keys in wanted.items():
        missing = {key: value for key, value in keys.items() if key not in table_in(before, table)}
        if missing:
            text = with_keys(text, table, missing)
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        after = {}
    if after != merged(before, wanted):
        raise CantPatch(f"{file} is written in a way that only a person can add to.")
    return text


def with_keys(text: str, table: tuple[str, ...], keys: Mapping[str, Value]) -> str:
    """Below the table's own line, or in a new table at the end."""
    added = [f"{key} = {toml(value)}" for key, value in keys.items()]
    head = f"[{'.'.join(map(toml_key, table))}]"
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.partition("#")[0].replace(" ", "").replace("'", '"').strip() == head:
            return "\n".join([*lines[: index + 1], *added, *lines[index + 1 :]]) + "\n"
    return "\n".join([*lines, *([""] if lines else []), head, *added]) + "\n"


def table_in(document: Mapping[str, Any], table: tuple[str, ...]) -> Mapping[str, Any]:
    for name in table:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return {}
        document = inner
    return document


def merged(before: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    result = dict(before)
    for table, keys in wanted.items():
        result = merged_table(result, table, keys)
    return result


def merged_table(
    document: Mapping[str, Any], table: tuple[str, ...], keys: Mapping[str, Value]
) -> dict[str, Any]:
    if not table:
        return {**keys, **document}
    inner = document.get(table[0])
    return {**document, table[0]: merged_table(inner if isinstance(inner, dict) else {}, table[1:], keys)}


def toml_key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if is_bare else toml(key)


def toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
