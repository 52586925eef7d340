import subprocess

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
