"""Run in its own mount namespace by test_checkouts: workspaces on a disk that holds but some of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import django

small, repository, way = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], check=True)
os.environ["SWARMYARD_HOME"] = str(small)
os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
django.setup()

from apps.workspaces.checkouts import create_workspace  # noqa: E402
from apps.workspaces.copies import Checkouts  # noqa: E402
from apps.workspaces.models import Repository, Workspace  # noqa: E402


def workspace(number):
    commit = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "main"], text=True).strip()
    return Workspace(
        repository=Repository(name="project", path=str(repository)),
        path=str(small / "workspaces" / "w1" / f"agent-{number}"),
        branch=f"yard/w1/agent-{number}",
        base_commit=commit,
    )


rows = {number: workspace(number) for number in range(6)}
copies = Checkouts(repository, rows[0].base_commit, [row.branch for row in rows.values()])
checkouts = copies if way == "copies" else None
made = {number: create_workspace(row, checkouts) for number, row in rows.items()}
left = sorted(int(path.name.partition("-")[2]) for path in (small / "workspaces" / "w1").iterdir())
first_failed = next(number for number, problem in made.items() if problem)
(small / "ballast").unlink(missing_ok=True)
for number in left[1:]:
    subprocess.run(["rm", "-rf", str(small / "workspaces" / "w1" / f"agent-{number}")], check=True)
print(json.dumps({"made": made, "left": left, "again": create_workspace(workspace(first_failed))}))
