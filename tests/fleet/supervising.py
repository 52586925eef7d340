"""Real agents under a real Supervisor that the test drives round by round."""

import time
from datetime import timedelta

from django.utils import timezone

from apps.events.domain.actor import Actor, Role
from apps.events.models import Event
from apps.fleet import logs
from apps.fleet.actions import operate
from apps.fleet.actions.observe import register_host
from apps.fleet.launcher import MARKER, MarkerIndex
from apps.fleet.models import Agent, Desired, State
from apps.fleet.places import home_id, run_dir
from apps.fleet.reaper import survey
from apps.fleet.supervisor import Supervisor
from apps.lib import procfs
from apps.lib.process import reap_detached

from .factories import make_agent

OPERATOR = Actor("user", "olga", Role.OPERATOR)


UNTIL_TOLD = "while [ ! -e ../go ]; do sleep 0.02; done"  # what an agent does until `Fleet.tell`


class Fleet:
    """One host of a home of its own; `supervisor` may be dropped and made anew at any time."""

    def __init__(self, base):
        self.base = base
        self.host = register_host(
            name="local", pid=1, boot_id=procfs.boot_id(), home_id=home_id(), now=timezone.now()
        )
        self.supervisor = self.new_supervisor()
        self.ahead = timedelta()

    def now(self):
        return timezone.now() + self.ahead

    def new_supervisor(self):
        """As after `kill -9` and a start: nothing of the old one is known to the new one."""
        self.supervisor = Supervisor(self.host, boot_id=procfs.boot_id(), now=self.now)
        return self.supervisor

    def agent(self, *argv, **overrides):
        """An agent that is ready and wanted."""
        workspace = self.base / "workspace"
        workspace.mkdir(exist_ok=True)
        fields = {
            "host": self.host,
            "command": list(argv),
            "workspace_path": str(workspace),
            "state": State.READY,
            "desired": Desired.RUNNING,
            "restart_policy": "never",
        }
        return make_agent(**(fields | overrides))

    def shell(self, script, **overrides):
        return self.agent("sh", "-c", script, **overrides)

    def until(self, condition, seconds=15.0):
        """Rounds until `condition()` is true."""
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            assert time.monotonic() < deadline, f"it did not come true in time: {self.standing()}"
            self.supervisor.tick()
            time.sleep(0.01)
        return result

    def standing(self):
        """Where things stand, for whoever reads of a failure."""
        agents = Agent.objects.values_list("name", "state", "desired", "reason")
        return f"{list(agents)}; processes {self.processes()}; launchers {self.launchers()}"

    def until_state(self, agent, *states, seconds=15.0):
        def reached():
            agent.refresh_from_db()
            return agent.state in states

        self.until(reached, seconds)
        return agent

    def until_ended(self, *agents, seconds=15.0):
        for agent in agents:
            self.until_state(agent, State.EXITED, State.FAILED, State.LOST, seconds=seconds)

    def running(self, script, **overrides):
        """An agent that was seen alive and has printed "up"."""
        agent = self.until_state(self.shell(f"echo up; {script}", **overrides), State.BUSY, State.IDLE)
        self.until(lambda: b"up" in self.output(agent))
        return agent

    def tell(self):
        (self.base / "go").touch()

    def do(self, verb, agent):
        agent.refresh_from_db()
        return operate.VERBS[verb](agent=agent, actor=OPERATOR, now=self.now())

    def output(self, agent):
        return b"".join(logs.iter_all(run_dir(agent)))

    def processes(self, agent=None):
        """The live processes of an agent, or of all of this home."""
        seen = survey(MarkerIndex())
        prefix = f"{home_id()}." + (f"{agent.pk}." if agent else "")
        return [
            seen.processes[pid]
            for text, pids in seen.agents.items()
            if text.startswith(prefix)
            for pid in pids
        ]

    def launchers(self):
        seen = survey(MarkerIndex())
        return [
            pid for text, pids in seen.launchers.items() if text.startswith(f"{home_id()}.") for pid in pids
        ]

    def close(self):
        self.new_supervisor()
        Agent.objects.live().update(desired=Desired.KILLED, restart_at=None)
        Agent.objects.exclude(state__in=[]).filter(state=State.READY).update(desired=Desired.HELD)
        Agent.objects.update(restart_at=None)
        self.until(lambda: not (Agent.objects.live().exists() or self.processes() or self.launchers()))
        reap_detached()


def kinds(agent):
    """What the events say of an agent, oldest first."""
    return list(Event.objects.about("agent", agent.pk).order_by("id").values_list("kind", flat=True))


def environment_of(process):
    return procfs.environment(process.pid) | {MARKER: ""}
