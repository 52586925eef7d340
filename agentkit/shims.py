"""Started in a tool's place: `shims.py TOOL ARGUMENTS…`."""

from __future__ import annotations

import os
import sys


def run() -> int:
    # From where this file is, never from the current directory: a workspace may hold a json.py.
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    sys.path[:] = [here, *(path for path in sys.path if path not in ("", os.path.join(here, "agentkit")))]  # noqa: PTH118
    from agentkit.building.shim import main
    from agentkit.building.tools import planner

    return main(sys.argv[1], sys.argv[2:], planner(sys.argv[1]))


if __name__ == "__main__":
    code = run()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to tidy up, and Python takes 3 ms for it
