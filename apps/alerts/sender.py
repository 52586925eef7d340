"""Sends each message in a process of its own, so that whatever the other side does has an end: an answer that drips or
never ends, a name server that hangs. Time is up for the process as a whole, and its memory is bounded.

Run as a module, with the message as JSON on stdin; it says on stdout what went wrong, and nothing when it was sent."""

import ipaddress
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.alerts.domain.addresses import BadAddress, Network
from apps.alerts.guard import PrivateAddress
from apps.alerts.sending import NotSent, open_service, send
from apps.lib import process

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 40.0  # for all of it; a job may take longer, so that the end comes from here
MORE_BYTES = 128 * 1024 * 1024  # beyond what it takes before it connects
MOST_SAID = 4_096

TOO_LONG = "it took longer than {:g} s: the other side doesn't come to an end"
TOO_MUCH = "the other side answered with more than is read"


def send_apart(url: str, *, title: str, body: str, severity: str, allowed: Sequence[Network]) -> None:
    """As `send`, within SECONDS. Raises BadAddress, PrivateAddress or NotSent."""
    message = {"url": url, "title": title, "body": body, "severity": severity}
    order = json.dumps(message | {"allowed": [str(network) for network in allowed]}).encode()
    argv = (sys.executable, "-m", "apps.alerts.sender")
    done = process.run(argv, cwd=PROJECT, stdin=order, timeout=SECONDS, max_output=MOST_SAID)
    if done.timed_out:
        raise NotSent(TOO_LONG.format(SECONDS))
    if not done.ok:
        raise RuntimeError(process.describe_failure(done))
    if done.stdout:
        kind, said = json.loads(done.stdout)
        raise {"bad": BadAddress, "private": PrivateAddress}.get(kind, NotSent)(said)


def main() -> None:
    order = json.load(sys.stdin)
    allowed = [ipaddress.ip_network(text) for text in order.pop("allowed")]
    try:
        open_service(order["url"])  # loads what it needs
        bound_memory()
        send(**order, allowed=allowed)
    except BadAddress as error:
        say("bad", str(error))
    except PrivateAddress as error:
        say("private", error.host)
    except NotSent as error:
        say("not sent", str(error))
    except MemoryError:
        say("not sent", TOO_MUCH)


def bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def say(kind: str, text: str) -> None:
    json.dump([kind, text], sys.stdout)


if __name__ == "__main__":
    main()
