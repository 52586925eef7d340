"""The reference is true: what it names exists, and what exists is named."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT / "docs" / "reference"


def test_it_names_every_setting_and_no_other():
    code = (PROJECT / "controlplane" / "settings.py").read_text()
    known = set(re.findall(r'env_(?:str|int|float|bool|list)\(\s*"([A-Z_]+)"', code))
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", (REFERENCE / "settings.md").read_text(), re.MULTILINE))

    assert known == named


def test_it_names_every_command_and_no_other():
    ours = {
        name
        for name, app in get_commands().items()
        if isinstance(app, str) and (app == "controlplane" or app.startswith("apps."))
    }
    text = (REFERENCE / "commands.md").read_text()
    named = {
        cell.split()[0]
        for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
        for cell in re.findall(r"`([^`]+)`", row)
    }

    assert ours == named


@pytest.mark.parametrize("document", [*sorted(PROJECT.glob("docs/**/*.md")), PROJECT / "README.md"], ids=str)
def test_its_links_lead_somewhere(document):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []
