"""Run in its own mount namespace by test_build_faults: a home on a disk that is too small for a base at first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import django

small, source, commit = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ["SWARMYARD_HOME"] = str(small)
os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
django.setup()

from apps.builds import places  # noqa: E402
from apps.builds.base_builder import BaseBuilder  # noqa: E402
from apps.builds.bases import OnDisk  # noqa: E402
from apps.builds.models import Base, BuildOptions  # noqa: E402
from apps.fleet.models import Host  # noqa: E402
from apps.workspaces.models import Repository  # noqa: E402

repository = Repository(pk=1, name="project", path=source, target="main")
base = Base(pk=1, repository=repository, host=Host(name="local"), wanted=commit)
places.make_ready()


def build() -> str:
    """What went wrong. Without rows: this process has no database."""
    builder = BaseBuilder(base, commit, BuildOptions(), is_shown=False)
    builder.build()
    return builder.outcome.problem


problem = build()
ready = (OnDisk(places.base_of(repository)).place / "ready").exists()
subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
print(json.dumps({"problem": problem, "ready": ready, "again": build()}))
