"""The troubleshooting card of an alert: advice, each with what the page offers for it."""

from dataclasses import dataclass

from apps.alerts.domain.cards import steps_for
from apps.alerts.domain.metrics import Scope
from apps.alerts.models import Alert
from apps.console import links
from apps.console.alerts.rows import subject_href
from apps.fleet.models import Agent, Host
from apps.waves.models import Wave

LINKS = {
    "slowest": ("Slowest agents", links.agents_by("p95")),
    "waiting": ("Longest lock wait", links.agents_by("wait")),
    "failing": ("Most errors", links.agents_by("errors")),
    "memory": ("Most memory", links.agents_by("memory")),
    "idle": ("Idle agents", f"{links.AGENTS}?state=idle"),
    "input": ("Agents that wait", f"{links.AGENTS}?state=waiting"),
    "build-waits": ("Who waited for whom", links.BUILD_WAITS),
    "build-directories": ("Build directories", links.BUILD_DIRECTORIES),
    "waves": ("Waves", links.WAVES),
    "hosts": ("Hosts", links.HOSTS),
}
AGENT_VERBS = ("pause", "resume", "stop", "restart")
WAVE_VERBS = ("pause", "resume", "retry", "abort")


@dataclass(frozen=True, slots=True)
class Offer:
    """A link, or a button where there is an address to post to."""

    word: str
    href: str = ""
    post: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    text: str
    offers: list[Offer]


def advice_of(alert: Alert, *, acts: bool) -> list[Advice]:
    own = own_offers(alert, acts=acts)
    found = []
    steps = steps_for(alert.rule.metric, alert.scope)
    for step in steps:
        if step.act == alert.scope:
            found.append(Advice(step.text, own))
            own = own[:1]  # the buttons once; further steps link to the subject
        elif step.act:
            found.append(Advice(step.text, [Offer(*LINKS[step.act])]))
        else:
            found.append(Advice(step.text, []))
    if alert.scope != Scope.YARD and alert.scope not in {step.act for step in steps}:
        found.append(Advice(f"This {alert.scope} alone: look at it, and hold it back meanwhile.", own))
    return found


def own_offers(alert: Alert, *, acts: bool) -> list[Offer]:
    """The page of what the alert is about, and for operators what can be done to it now."""
    href = subject_href(alert.scope, alert.subject_id, alert.subject)
    posts = {Scope.AGENT: agent_posts, Scope.WAVE: wave_posts, Scope.HOST: host_posts}
    make = posts.get(Scope(alert.scope))
    return [Offer(f"Open {alert.subject}", href), *(make(alert) if make and acts else [])]


def agent_posts(alert: Alert) -> list[Offer]:
    agent = Agent.objects.filter(pk=alert.subject_id).first()
    verbs = [verb for verb in AGENT_VERBS if agent and agent.can(verb)]
    return [
        Offer(f"{verb.capitalize()} it", post=f"{links.agent(alert.subject_id)}do/{verb}") for verb in verbs
    ]


def wave_posts(alert: Alert) -> list[Offer]:
    wave = Wave.objects.filter(pk=alert.subject_id).first()
    verbs = [verb for verb in WAVE_VERBS if wave and wave.can(verb)]
    return [Offer(f"{verb.capitalize()} it", post=f"{links.wave(alert.subject)}do/{verb}") for verb in verbs]


def host_posts(alert: Alert) -> list[Offer]:
    host = Host.objects.filter(pk=alert.subject_id).first()
    if host is None:
        return []
    verb, word = ("open", "Take agents again") if host.draining else ("drain", "Drain it")
    return [Offer(word, post=f"{links.HOSTS}{host.pk}/do/{verb}")]
