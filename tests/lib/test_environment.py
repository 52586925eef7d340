import subprocess
import sys
from pathlib import Path

from apps.lib.environment import GIT_LOCATION, passed_on


def test_it_passes_on_what_is_the_operators_and_keeps_what_is_the_control_planes():
    inherited = {
        **dict.fromkeys(("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PGPASSWORD", "PGHOST"), "secret"),
        **dict.fromkeys(("SWARMYARD_HOME", "GIT_DIR", "GIT_INDEX_FILE"), "elsewhere"),
        **dict.fromkeys(("PATH", "HOME", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME"), "mine"),
    }

    assert set(passed_on(inherited)) == {"PATH", "HOME", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME"}


def test_it_knows_what_git_itself_calls_local():
    listed = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )

    assert set(listed.stdout.split()) <= GIT_LOCATION


def test_our_own_virtual_environment_is_nobody_else_s():
    ours, own = str(Path(sys.prefix)), {"HOME": "mine", "LANG": "C"}
    activated = own | {"VIRTUAL_ENV": ours, "PATH": f"{ours}/bin:/usr/bin:/bin"}

    assert sys.prefix != sys.base_prefix, "these tests run in a virtual environment"
    assert passed_on(activated) == own | {"PATH": "/usr/bin:/bin"}


def test_a_virtual_environment_of_the_operator_s_stays():
    inherited = {"VIRTUAL_ENV": "/his/own", "PATH": "/his/own/bin:/usr/bin"}

    assert passed_on(inherited) == inherited
