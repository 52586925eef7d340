"""A row is put together from a pattern of its template: to the letter what the template would give."""

import random
from dataclasses import replace

import pytest
from django.template.loader import render_to_string

from apps.console.agents.rows import Row, filled, row_of
from tests.console.figures import agent_figures
from tests.factories import make_agent

pytestmark = pytest.mark.django_db

HOSTILE = "{name} {{ x }} {0} %s <script>alert('&\"')</script> {% if %}"


@pytest.fixture
def row() -> Row:
    return row_of(make_agent(), agent_figures(random.Random(1)), "agent-01", 200.0)


def rendered(row: Row, acts: bool) -> str:
    return render_to_string("console/agents/row.html", {"row": row, "acts": acts})


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"spark": ""},
        {"wait_share": 0, "wait": "0"},
        {"memory_share": 0, "memory_tone": "high"},
        {"now": HOSTILE, "role": HOSTILE, "label": HOSTILE, "name": HOSTILE},
        {"now": "", "role": "", "verbs": ""},
        {"pk": 1_234_567, "wait_share": 100},
    ],
)
def test_it_is_what_the_template_gives(row, changed, acts):
    row = replace(row, **changed)

    assert filled(row, acts) == rendered(row, acts)


def test_text_from_outside_is_escaped(row):
    html = filled(replace(row, now=HOSTILE), acts=True)

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
