"""Real git repositories for tests, and everything of one that nobody may touch."""

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(path, *arguments, check=True):
    done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, env=ENVIRONMENT)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def make_repository(path, *, files=3, branch="main", bare=False, commit=True):
    path.mkdir(parents=True)
    git(path, "init", "--quiet", *(["--bare"] if bare else []), "--initial-branch", branch)
    if commit and not bare:
        for number in range(files):
            (path / f"file-{number}.txt").write_text(f"{number}\n" * 10)
        git(path, "add", "--all")
        git(path, "commit", "--quiet", "--message", "first")
    return path


def make_bare(path, source):
    subprocess.run(["git", "clone", "--quiet", "--bare", str(source), str(path)], check=True, env=ENVIRONMENT)
    return path


def belongings(repository):
    """What is the user's own: HEAD, index, files, branches but ours, configuration, stashes, other worktrees."""
    directory = Path(git(repository, "rev-parse", "--absolute-git-dir"))
    named = ("HEAD", "index", "config", "ORIG_HEAD", "FETCH_HEAD", "packed-refs")
    refs = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {
        "files": {
            str(path.relative_to(repository)): path.read_bytes()
            for path in sorted(repository.rglob("*"))
            if path.is_file() and ".git" not in path.parts
        },
        "git": {name: (directory / name).read_bytes() for name in named if (directory / name).exists()},
        "refs": [ref for ref in refs if not ref.startswith("refs/heads/yard/")],
        "status": git(repository, "status", "--porcelain", "--branch"),
        "reflog": git(repository, "reflog", "show", "HEAD", check=False),
    }
