"""`docs/reference/prometheus.md` names what `/metrics` can say: no more, no less."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from apps.exposition.metrics import METRICS
from apps.exposition.sources import hosts, spending, waves
from tests.needs import needs

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/prometheus.md"
GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/prometheus.md"


def rows() -> dict[str, list[str]]:
    """The cells behind each name."""
    lines = re.findall(r"^\| `(swarmyard_\w+)` \|(.*)\|$", REFERENCE.read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def test_it_names_every_metric_and_no_other():
    assert list(rows()) == list(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_it_says_what_the_metric_says_of_itself(name):
    kind, labels, definition = rows()[name]

    metric = METRICS[name]
    assert kind == metric.kind
    assert tuple(re.findall(r"`(\w+)`", labels)) == metric.labels
    assert definition == metric.help


def test_it_tells_the_bounds():
    assert f"newest ended ones, {waves.SHOWN} in all" in REFERENCE.read_text()
    assert f"by `host` for {hosts.SHOWN}" in REFERENCE.read_text()
    assert f"by `model` for the first {spending.MODELS} of a wave" in REFERENCE.read_text()


def test_the_guide_asks_for_what_there_is():
    named = set(re.findall(r"swarmyard_\w+", GUIDE.read_text()))

    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} <= set(METRICS)


def promtool(*arguments: str, content: str, file: Path) -> None:
    file.write_text(content)
    done = subprocess.run(
        ["promtool", "check", *arguments, str(file)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs("promtool")
def test_prometheus_takes_the_files_of_the_guide(tmp_path):
    scraping, alarms = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)

    promtool("config", "--syntax-only", content=scraping, file=tmp_path / "prometheus.yml")
    promtool("rules", content=alarms, file=tmp_path / "alarms.yml")


@needs("promtool")
def test_prometheus_understands_the_questions_of_the_guide(tmp_path):
    asked = re.findall(r"^\| [^|]+ \| `(.+)` \|$", GUIDE.read_text(), re.MULTILINE)
    assert len(asked) >= 5
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(asked)]

    promtool(
        "rules",
        content=json.dumps({"groups": [{"name": "guide", "rules": rules}]}),
        file=tmp_path / "asked.json",
    )
