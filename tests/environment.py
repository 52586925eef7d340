"""Loaded before Django's settings: tests get a home of their own, and nothing of the operator's environment."""

import atexit
import os
import shutil
import tempfile

OWNER = "SWARMYARD_TESTS"  # workers of a parallel run find the home that their controller made

if OWNER not in os.environ:
    for name in [name for name in os.environ if name.startswith("SWARMYARD_") or name == "REDIS_URL"]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="yard-tests-")
    os.environ |= {OWNER: str(os.getpid()), "SWARMYARD_HOME": home}
    os.environ["SWARMYARD_COMPILER_CACHE_GB"] = "0"  # its server would outlive every host process of a test
    atexit.register(shutil.rmtree, home, ignore_errors=True)
