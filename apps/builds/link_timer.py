"""Stands in for the linker during one build (`measuring.py`): links each program with every candidate in turn, links it
as asked, and tells how long each took. Runs by itself, without Django.

    link_timer.py ORDER.json -- ARGUMENTS…    ORDER: {"cc", "rounds", "results", "candidates": {name: words or null}}
"""

import json
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    order = json.loads(Path(sys.argv[1]).read_text())
    arguments = sys.argv[3:]
    output = arguments[arguments.index("-o") + 1] if "-o" in arguments[:-1] else ""
    seconds: dict[str, list[float]] = {}
    if output and "-shared" not in arguments and "/build/" not in output:
        seconds = {name: [] for name in order["candidates"]}
        for _round in range(order["rounds"]):
            for name, words in order["candidates"].items():
                took = link(order["cc"], replaced(arguments, words), output)
                if took is not None:
                    seconds[name].append(took)
    code = subprocess.run([order["cc"], *arguments], check=False).returncode
    if seconds and code == 0:
        found = {"program": Path(output).name, "bytes": Path(output).stat().st_size, "seconds": seconds}
        with Path(order["results"]).open("a") as file:
            file.write(json.dumps(found) + "\n")
    return code


def replaced(arguments: list[str], words: list[str] | None) -> list[str]:
    """With another linker than the one that rustc chose, unless that is the candidate."""
    if words is None:
        return arguments
    kept = [word for word in arguments if not word.startswith("-fuse-ld=") and "gcc-ld" not in word]
    return [*kept, *words]


def link(cc: str, arguments: list[str], output: str) -> float | None:
    """Seconds; None where this linker can't."""
    Path(output).unlink(missing_ok=True)
    began = time.perf_counter()
    done = subprocess.run([cc, *arguments], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
