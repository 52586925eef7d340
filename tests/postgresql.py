"""A PostgreSQL server of our own: a fresh cluster in a temporary directory, on a unix socket alone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.needs import postgresql_bin

# Nothing of it shall outlive the tests: it needs no care for power cuts.
QUICK = ("fsync=off", "full_page_writes=off")


class Server:
    def __init__(self, base, user):
        self.base, self.user = base, user
        self.url = f"postgresql://yard@/postgres?host={base}"
        self.process = None

    def initialise(self):
        self.run("initdb", "-D", str(self.base / "data"), "-U", "yard", "--auth=trust", "-N")

    def start(self):
        options = [word for one in ("listen_addresses=", *QUICK) for word in ("-c", one)]
        argv = self.argv("postgres", "-D", str(self.base / "data"), "-k", str(self.base), *options)
        with (self.base / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=self.base)
        self.wait_until_it_answers()

    def stop(self, sig=signal.SIGINT):
        """SIGINT: without waiting for who is connected. SIGQUIT: as in a crash."""
        self.process.send_signal(sig)
        self.process.wait(60)

    def run(self, *words):
        subprocess.run(self.argv(*words), check=True, capture_output=True, timeout=120, cwd=self.base)

    def argv(self, program, *arguments):
        return as_user(self.user, [str(postgresql_bin() / program), *arguments])

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(host=str(self.base), user="yard", dbname="postgres").close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.base / "log").read_text()
                assert time.monotonic() < deadline, (self.base / "log").read_text()
                time.sleep(0.1)


@contextmanager
def postgresql_server():
    base = Path(tempfile.mkdtemp(prefix="yard-pg-"))
    user = unprivileged_user()
    if user:
        shutil.chown(base, user)
    server = Server(base, user)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        if server.process:
            server.stop()
        shutil.rmtree(base, ignore_errors=True)


def unprivileged_user():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def as_user(user, argv):
    if user is None:
        return argv
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", *argv]
