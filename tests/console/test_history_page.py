"""Charts of the past, of any subject."""

import html
import json
import re
import time

import pytest

from apps.telemetry.domain.packing import packed_with
from apps.telemetry.domain.tally import tally_of
from apps.telemetry.ingest import STREAM
from apps.telemetry.models import Checkpoint, Rollup
from tests.factories import make_agent
from tests.telemetry.factories import make_sample

pytestmark = pytest.mark.django_db


def data_of(response) -> dict:
    [found] = re.findall(r'data-charts="([^"]*)"', response.content.decode())
    return json.loads(html.unescape(found))


def keep(subject: str, age: int, *milliseconds: float) -> None:
    start = (int(time.time()) - age) // 3600 * 3600
    cells = packed_with(b"", start, {start: tally_of([make_sample(ms) for ms in milliseconds])})
    Rollup.objects.create(subject=subject, resolution=3600, start=start, cells=cells)
    Checkpoint.objects.update_or_create(stream=STREAM, defaults={"last_id": "0-0", "until": time.time()})


@pytest.mark.parametrize("span", ["7d", "30d"])
@pytest.mark.parametrize("subject", ["yard", "wave:w1", "role:coder", "host:local", "repository:core"])
def test_it_draws_what_a_subject_did(viewer, subject, span):
    keep(subject, 3 * 86_400, 10.0, 20.0)

    found = data_of(viewer.get("/history/", {"of": subject, "range": span}))

    assert 100 < len(found["times"]) <= 300
    assert [value for value in found["latency"]["lines"]["p99"] if value is not None] == [
        pytest.approx(20, rel=0.01)
    ]


def test_it_names_the_agent_and_leads_back_to_it(viewer):
    agent = make_agent(name="w7/agent-03")
    keep(f"agent:{agent.pk}", 7200, 10.0)

    page = viewer.get("/history/", {"of": f"agent:{agent.pk}"}).content.decode()

    assert "History of w7/agent-03" in page
    assert f'href="/agents/{agent.pk}/"' in page


def test_a_span_in_which_nothing_was_recorded_says_so(viewer):
    found = data_of(viewer.get("/history/"))

    assert found["empty"] == "nothing was recorded in this span"


@pytest.mark.parametrize("subject", ["agent:99", "agent:", "moon:1", "wave:", "", "agent:1e9"])
def test_what_has_no_history_is_not_found(viewer, subject):
    assert viewer.get("/history/", {"of": subject}).status_code == 404


def test_yard_and_agent_lead_to_their_history(viewer):
    agent = make_agent()

    assert 'href="/history/?of=yard"' in viewer.get("/").content.decode()
    assert f'href="/history/?of=agent%3A{agent.pk}"' in viewer.get(f"/agents/{agent.pk}/").content.decode()
