"""The live dashboard with 100 agents at work: how late a push reaches the browser, and what a tick costs the server.

A real Chromium shows the yard page. Lateness is from the beginning of the tick in the server until the page has put its
frame into the DOM, on the one clock of this machine. The cost of a tick is the CPU time of the web process with a
viewer, less that without one, by the number of ticks.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from report import Figure, machine, options, percentile, say, show
from yard import Yard, cpu_seconds, make_repository

DRILL = ["--operations", "0", "--think-ms", "1500", "--fail-rate", "0.02"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
FLAGS += ["--disable-component-update", "--disable-sync"]


def main() -> None:
    chosen = options(__doc__)
    where = machine()
    agents, seconds = (20, 12) if chosen.quick else (100, 60)
    with tempfile.TemporaryDirectory() as directory, Yard() as yard:
        start_agents(yard, Path(directory), agents)
        web = yard.process("controlplane.asgi:application")
        alone = cpu_share(web, seconds)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            sign_in(page, yard)
            page.wait_for_timeout(5000)
            pushes, busy = watch(page, web, seconds)
            browser.close()
    late = [(push["seenAt"] - push["tickAt"]) * 1000 for push in pushes]
    say(
        f"{len(late)} pushes in {seconds} s; web at {alone * 100:.1f} % without a viewer, {busy * 100:.1f} % with one"
    )
    figures = [
        Figure("push_p95_ms", percentile(late, 0.95), "ms", 300.0, "lower"),
        Figure("push_p50_ms", percentile(late, 0.5), "ms", None, "lower"),
        Figure("tick_cpu_ms", (busy - alone) * seconds / max(1, len(late)) * 1000, "ms", 50.0, "lower"),
        Figure("viewer_cpu_pct", (busy - alone) * 100, "% of a core", None, "lower"),
        Figure("pushes_per_s", len(late) / seconds, "1/s", None, "higher"),
    ]
    show("dashboard", where, figures, as_json=chosen.json)


def start_agents(yard: Yard, directory: Path, agents: int) -> None:
    repository = make_repository(directory / "dashboard")
    yard.api("POST", "/repositories", {"path_or_url": str(repository)})
    body = {"repository": repository.name, "preset": "drill", "agents": agents, "command": DRILL}
    wave = yard.api("POST", "/waves", body)["wave"]
    yard.wait_for(wave, {"running", "waiting"}, agents, seconds=120)
    time.sleep(10)  # until all of them have connected


def sign_in(page: Page, yard: Yard) -> None:
    page.goto(yard.link)
    page.click("form button")
    page.wait_for_url(f"{yard.address}/")


def watch(page: Page, web: int, seconds: int) -> tuple[list[dict[str, Any]], float]:
    """The pushes that the page saw in that time, and the share of a core that the web process used."""
    page.evaluate("window.swarmyard.pushes.length = 0")
    begun, used = time.monotonic(), cpu_seconds(web)
    page.wait_for_timeout(seconds * 1000)
    share = (cpu_seconds(web) - used) / (time.monotonic() - begun)
    return list(page.evaluate("window.swarmyard.pushes")), share


def cpu_share(pid: int, seconds: int) -> float:
    begun, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - begun)


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("This benchmark needs chromium: install it first.")
    return found


if __name__ == "__main__":
    main()
