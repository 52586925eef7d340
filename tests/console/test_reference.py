"""`docs/reference/console.md` names what is there."""

import re
from pathlib import Path

from apps.console import consumer, live
from apps.console.agents.selection import GROUPS, SORTS
from apps.console.regions import PARAMETERS, WINDOWS

TEXT = (Path(__file__).parents[2] / "docs/reference/console.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below the line that starts with `heading`."""
    table = TEXT.split(heading, 1)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_it_names_every_parameter():
    named = set().union(*(words(row[0]) for row in rows("| parameter | where | values |")))

    read_by_pages = {"start", "of", "range"}
    assert named - read_by_pages == set(PARAMETERS) - {"at", "pk"}


def test_it_names_the_values_that_are_taken():
    values = {name: row[2] for row in rows("| parameter | where | values |") for name in words(row[0])}

    assert words(values["window"]) == set(WINDOWS)
    assert words(values["sort"]) == set(SORTS)
    assert words(values["state"].split(";")[0]) == {"all", *GROUPS}


def test_it_names_the_close_codes():
    named = {int(code) for row in rows("| close code | means |") for code in re.findall(r"\d{4}", row[0])}

    own = {consumer.BAD_MESSAGE, consumer.SIGNED_OUT, consumer.FOREIGN_ORIGIN, consumer.TOO_MANY}
    assert named == own | {consumer.ROLE_CHANGED, live.TRY_AGAIN}
