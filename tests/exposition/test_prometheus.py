"""A real Prometheus reads a real web process as the guide says."""

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.yard_for_browsers import Yard
from tests.needs import needs

pytestmark = [pytest.mark.slow, needs("prometheus")]

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/prometheus.md"
PATIENCE = 60.0


@pytest.fixture
def yard(_redis_process, tmp_path) -> Iterator[Yard]:
    home = tmp_path / "home"
    home.mkdir()
    yard = Yard(home, _redis_process.url)
    yard.prepare()
    yard.start()
    yield yard
    yard.stop()


@pytest.fixture
def prometheus(yard: Yard, tmp_path: Path) -> Iterator[str]:
    """Its address; it reads the yard by the guide's configuration, each second."""
    token = tmp_path / "token"
    token.write_text(yard.output("manage.py", "apitoken", "make", "--user", "admin", "--name", "prometheus"))
    [config, _] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    config = config.replace("/etc/prometheus/swarmyard.token", str(token)).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config.replace("127.0.0.1:8000", f"127.0.0.1:{yard.port}"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    process = subprocess.Popen(
        ["prometheus", *places, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    )
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def asked(address: str, query: str) -> dict[str, float]:
    """Values by the state that they are labelled with, once there are any."""
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.URLError:
            found = []
        if found:
            return {one["metric"].get("state", ""): float(one["value"][1]) for one in found}
        time.sleep(0.2)
    pytest.fail(f"Prometheus has nothing for {query}")


def test_it_reads_the_yard_with_a_token(prometheus):
    assert asked(prometheus, 'up{job="swarmyard"} == 1') == {"": 1}

    states = asked(prometheus, "sum by (state) (swarmyard_agents)")

    assert (states["waiting"], states["failed"], states["lost"]) == (1, 1, 0)
    assert asked(prometheus, 'swarmyard_wave_held_back_agents{wave="w1"}') == {"": 0}
