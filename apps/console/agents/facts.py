"""What is known of an agent, for its page."""

import shlex
from dataclasses import dataclass

from django.core.exceptions import ObjectDoesNotExist

from apps.console import display, links
from apps.console.templatetags.display_tags import ago, clock
from apps.fleet.models import Agent
from apps.lib.text import plain_text
from apps.workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Fact:
    """`copies`: a text worth copying, shown as code."""

    word: str
    text: str
    copies: bool = False
    href: str = ""


def workspace_of(agent: Agent) -> Workspace | None:
    try:
        return agent.workspace
    except ObjectDoesNotExist:
        return None


def facts_of(agent: Agent) -> list[Fact]:
    facts = [
        Fact("Wave", agent.group, href=links.wave(agent.group)),
        Fact("Preset", agent.preset),
        Fact("Role", plain_text(agent.role, 40)),
        Fact("Host", agent.host.name, href=links.HOSTS),
        *workspace_facts(workspace_of(agent)),
        Fact(
            "Command", plain_text(shlex.join(agent.command), 500) or display.NONE, copies=bool(agent.command)
        ),
        *process_facts(agent),
        *time_facts(agent),
    ]
    return [fact for fact in facts if fact.text]


def workspace_facts(workspace: Workspace | None) -> list[Fact]:
    if workspace is None:
        return [Fact("Workspace", "none yet")]
    facts = [
        Fact("Branch", plain_text(workspace.branch, 250), copies=True),
        Fact("Start commit", workspace.base_commit[:12], copies=True),
        Fact("Workspace", workspace.path, copies=True),
    ]
    if workspace.problem:
        facts.append(Fact("Problem", plain_text(workspace.problem, 500)))
    return facts


def process_facts(agent: Agent) -> list[Fact]:
    return [
        Fact("Process", f"pid {agent.pid}" if agent.pid and agent.is_live else ""),
        Fact(
            "Start",
            f"number {agent.epoch}"
            + (f", {display.plural(agent.restarts, 'restart')} by itself" if agent.restarts else "")
            if agent.epoch
            else "not started",
        ),
        Fact("Exit status", "" if agent.exit_code is None else str(agent.exit_code)),
        Fact("Restart", agent.get_restart_policy_display()),
        Fact("Memory budget", f"{display.number(agent.memory_budget_mb)} MB"),
    ]


def time_facts(agent: Agent) -> list[Fact]:
    pairs = (
        ("Launched", agent.launched_at, clock),
        ("Last output", agent.output_at, ago),
        ("Ended", agent.ended_at, clock),
    )
    return [Fact(word, style(at)) for word, at, style in pairs if at]
