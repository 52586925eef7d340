import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils import timezone

from apps.access.exceptions import NotAllowed
from apps.access.roles import shell_actor
from apps.fleet import logs
from apps.fleet.actions.operate import VERBS
from apps.fleet.exceptions import AgentRefused
from apps.fleet.models import ENDED, Agent
from apps.fleet.places import run_dir
from apps.fleet.serial import AGENT_FIELDS, agent_data
from apps.fleet.spending import ledger_of
from apps.lib.cli import OperatorCommand, table, whole_number
from apps.lib.text import terminal_text

SUMMARIES = {
    "pause": "Freeze its whole process tree.",
    "resume": "Go on.",
    "stop": "Ask it to end, and end it by force after the grace.",
    "kill": "End it and everything it started, at once.",
    "restart": "Start it again in its workspace as it is.",
}


class Command(OperatorCommand):
    help = "Watch and steer agents."
    refusals = (AgentRefused, NotAllowed)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
        listing = self.subcommand(commands, "list", "List agents.")
        listing.add_argument("--wave", help="only of this wave")
        listing.add_argument("--all", action="store_true", help="also those that ended")
        self.subcommand(commands, "show", "Show one agent.").add_argument("agent", metavar="ID")
        log = self.subcommand(commands, "log", "Print what it printed.")
        log.add_argument("agent", metavar="ID")
        log.add_argument(
            "--lines",
            type=whole_number,
            default=50,
            help="the last N lines (%(default)s); 0: all that is kept",
        )
        for name, summary in SUMMARIES.items():
            self.subcommand(commands, name, summary).add_argument(
                "agent", metavar="ID", help="as in w12/agent-05"
            )

    def do_list(self, **options: Any) -> tuple[Any, str]:
        agents = Agent.objects.select_related("host").only("host__name", *AGENT_FIELDS).order_by("pk")
        if options["wave"]:
            agents = agents.filter(group=options["wave"])
        if not options["all"]:
            agents = agents.exclude(state__in=ENDED)
        rows = list(agents[:10_000])
        if not rows:
            return [], "No agent runs. `agent list --all` shows those that ended."
        lines = [
            (agent.name, agent.state, agent.preset, agent.host.name, agent.activity or agent.reason)
            for agent in rows
        ]
        ledger = ledger_of(Agent.objects.filter(pk__in=[agent.pk for agent in rows]))
        return [agent_data(agent, ledger.of(agent.pk)) for agent in rows], table(
            ("AGENT", "STATE", "PRESET", "HOST", "NOW"), lines
        )

    def do_show(self, **options: Any) -> tuple[Any, str]:
        data = agent_data(find(options["agent"]))
        return data, "\n".join(
            f"{name:18} {value}" for name, value in data.items() if value not in (None, "", [])
        )

    def do_log(self, **options: Any) -> tuple[Any, str]:
        agent = find(options["agent"])
        directory = run_dir(agent)
        if options["json"]:
            lines = options["lines"]
            chunk = logs.tail(directory, lines=lines) if lines else logs.tail(directory, limit=sys.maxsize)
            return {
                "agent": agent.name,
                "offset": chunk.offset,
                "log": chunk.data.decode("utf-8", "replace"),
            }, ""
        pieces = (
            [logs.tail(directory, lines=options["lines"]).data]
            if options["lines"]
            else logs.iter_all(directory)
        )
        for piece in readable(pieces) if sys.stdout.isatty() else pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return None, ""

    def do_pause(self, **options: Any) -> tuple[Any, str]:
        return steer("pause", options["agent"])

    def do_resume(self, **options: Any) -> tuple[Any, str]:
        return steer("resume", options["agent"])

    def do_stop(self, **options: Any) -> tuple[Any, str]:
        return steer("stop", options["agent"])

    def do_kill(self, **options: Any) -> tuple[Any, str]:
        return steer("kill", options["agent"])

    def do_restart(self, **options: Any) -> tuple[Any, str]:
        return steer("restart", options["agent"])


def readable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """For a terminal, which would do whatever the agent's escape sequences say: whole lines, made plain."""
    rest = b""
    for piece in pieces:
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        if newline:
            yield terminal_text(whole.decode("utf-8", "replace")).encode() + newline
    yield terminal_text(rest.decode("utf-8", "replace")).encode()


def steer(verb: str, name: str) -> tuple[Any, str]:
    agent = VERBS[verb](agent=find(name), actor=shell_actor(), now=timezone.now())
    return agent_data(agent), f"{agent.name}: {verb} is under way ({agent.get_state_display().lower()} now)."


def find(name: str) -> Agent:
    agents = Agent.objects.select_related("host")
    agent = agents.filter(pk=int(name)).first() if name.isdecimal() else agents.filter(name=name).first()
    if agent is None:
        raise AgentRefused(f"There is no agent “{name}”: `agent list --all` shows them.")
    return agent
