"""Run in its own mount namespace by test_warm_start: a home on a disk that is too small for an agent's directories, or
with a base that can't be written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import django

way, small, source, base = sys.argv[1], *map(Path, sys.argv[2:5])
os.environ["SWARMYARD_HOME"] = str(small)
os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
if way == "full":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(small)], check=True)
django.setup()

from apps.builds import places  # noqa: E402
from apps.builds.models import BuildOptions  # noqa: E402
from apps.builds.warming import Warmth  # noqa: E402
from apps.fleet.models import Agent, Host  # noqa: E402
from apps.workspaces.models import Repository, Workspace  # noqa: E402

host = Host(pk=1, name="local", equipment={"view_problem": ""})
repository = Repository(pk=1, name="project", path=str(source))
place = places.base_of(repository)
place.parent.mkdir(parents=True)
if way == "full":
    place.symlink_to(base)
    (small / "ballast").write_bytes(b"x" * (os.statvfs(small).f_bavail * 4096 - 200_000))
else:
    place.mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", str(base), str(place)], check=True)

workspace = Workspace(pk=1, repository=repository, path=str(source), agent=Agent(pk=1, host=host))
warmth = Warmth.__new__(Warmth)  # without rows: this process has no database
warmth.options, warmth.hosts, warmth.based = {1: BuildOptions(same_path=False)}, {1: host}, {(1, 1)}
warmth.until = 0.0
start = warmth.start_of(workspace)
target = places.directories_of(workspace)
left = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
(small / "ballast").unlink(missing_ok=True)
again = warmth.start_of(workspace) if way == "full" else start
shutil.rmtree(target)
print(json.dumps({"source": start.source, "keys": start.keys, "left": left, "again": again.keys}))
