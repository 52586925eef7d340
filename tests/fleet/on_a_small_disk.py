"""Run in its own mount namespace by test_launcher_output: an agent that prints more than the disk holds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from apps.fleet import logs
from apps.fleet.launcher import Order, launch, read_run

AGENT = """
head -c 2000000 /dev/zero
touch flooded
while [ ! -e go ]; do sleep 0.05; done
echo after
sleep 1.5
echo end
exit 6
"""


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def main(small: Path, work: Path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(small)], check=True)
    run = small / "run"
    env = {"PATH": os.environ["PATH"], "SWARMYARD_RUN": "full.1.1"}
    (small / "ballast").write_bytes(b"x" * 150_000)
    begun = time.monotonic()
    launch(Order(run, ["sh", "-c", AGENT], env, work))
    until((work / "flooded").exists)
    seconds = time.monotonic() - begun
    free = os.statvfs(small).f_bavail
    (small / "ballast").unlink()
    until(lambda: logs.search(run, b"output was lost"), 3)  # the logger tries again each second
    (work / "go").touch()
    until(lambda: read_run(run).exit_code is not None)
    until(lambda: logs.tail(run).data.endswith(b"end\n"), 3)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "free": free,
                "exit_code": read_run(run).exit_code,
                "tail": logs.tail(run, lines=5).data[-200:].decode("utf-8", "replace"),
            }
        )
    )


main(Path(sys.argv[1]), Path(sys.argv[2]))
