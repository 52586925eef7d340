"""What to do about an alert: why it may be, and what helps. One card for each metric."""

from dataclasses import dataclass

from apps.alerts.domain.metrics import Scope


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that helps. `act`: what the page offers beside it; "" where there is only the advice."""

    text: str
    act: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    why: str
    steps: tuple[Step, ...]


CARDS: dict[str, Card] = {
    "latency_p95": Card(
        "Operations take longer than they should: a busy disk, too many builds at once, or a few slow agents.",
        (
            Step("See which agents are slowest, and what they do.", "slowest"),
            Step(
                "See whether a host is under pressure: with too many agents, each gets slower.",
                "hosts",
            ),
            Step("Parsing above 100 ms: warm the caches, and give the second level more room."),
            Step("Start fewer agents together: a smaller step, or a pause of the wave.", "waves"),
        ),
    ),
    "latency_p99": Card(
        "A few operations take very long, while most don't: often a lock, a cold build, or a host that swaps.",
        (
            Step("See which agents are slowest.", "slowest"),
            Step("See who waits for a lock, and which.", "waiting"),
            Step("See whether a host is short of memory.", "hosts"),
        ),
    ),
    "error_rate": Card(
        "Operations fail. Failures on purpose, as drills have them, aren't counted.",
        (
            Step("See which agents fail most; their log says why.", "failing"),
            Step("One agent alone: restart it in its workspace.", "agent"),
            Step(
                "All of them: a service, a token or a disk that they share. Pause the waves meanwhile.",
                "waves",
            ),
        ),
    ),
    "lock_wait": Card(
        "Agents spend their time waiting for one another: mostly on one build directory or one git reference.",
        (
            Step("See who waits most, and for which kind of lock.", "waiting"),
            Step("Builds: see who waited for whom, over time and by kind of lock.", "build-waits"),
            Step(
                "Build directories: each agent has its own, unless its repository switches that off or a script names "
                "one.",
                "build-directories",
            ),
            Step(
                "Build slots: a wait for one means that all cores build. Run fewer agents that build.",
                "waves",
            ),
        ),
    ),
    "distribution_variance": Card(
        "A few agents do most of the work: others are idle, wait for input, or got too small a task.",
        (
            Step("See who does nothing.", "idle"),
            Step("See who waits for a person.", "input"),
            Step("Split large tasks, or scale the wave down.", "waves"),
        ),
    ),
    "coordination_overhead": Card(
        "Much of the operation time goes into coordination instead of work.",
        (
            Step("See who waits longest for others, and for what.", "waiting"),
            Step("Batch more, poll less, and use fewer agents on one part of the repository.", "waves"),
        ),
    ),
    "auto_resolution": Card(
        "Changes conflict in ways that only a person can resolve.",
        (
            Step("Above 30 % conflicts: predict them before the work starts."),
            Step("Partition the work by path prefix, so that two agents seldom touch one file.", "waves"),
        ),
    ),
    "memory_used": Card(
        "Memory runs out. The kernel ends processes when none is left, and not always the right ones.",
        (
            Step("See who uses most.", "memory"),
            Step("Stop or pause the agent; its workspace stays as it is.", "agent"),
            Step("Give the host no new agents.", "host"),
            Step("Smaller first-level caches, and fewer agents in a wave.", "waves"),
        ),
    ),
    "disk_used": Card(
        "The disk of the home is nearly full: workspaces, build directories and logs grow with each agent.",
        (
            Step("Give the host no new agents.", "host"),
            Step("See which waves are over: their workspaces can go.", "waves"),
            Step("Keep less output of each agent: SWARMYARD_AGENT_LOG_BYTES."),
        ),
    ),
    "heartbeat_age": Card(
        "Nothing is heard of the host: its process (“manage.py runhost”) ended, the machine is down or doesn't reach "
        "the database. Its agents may run on; nobody looks after them.",
        (
            Step("See when it was heard of last.", "hosts"),
            Step("Start “manage.py runhost” there: it finds its agents again."),
            Step("Give the host no new agents until it is back.", "host"),
        ),
    ),
    "output_age": Card(
        "The agent runs and prints nothing: a long build, a question that nobody sees, or a call that hangs.",
        (
            Step("Read its log and what it does now.", "agent"),
            Step("It hangs: restart it in its workspace.", "agent"),
        ),
    ),
    "step_age": Card(
        "The wave has agents left to start, and hasn't started any for long: for want of room, or of workspaces.",
        (
            Step("See what it waits for.", "wave"),
            Step("See whether hosts have room, and take agents.", "hosts"),
            Step("Scale it to what fits, or abort it.", "wave"),
        ),
    ),
}


def steps_for(metric: str, scope: str) -> tuple[Step, ...]:
    """The card's steps for an alert of this scope: those about another kind of subject are left out."""
    return tuple(step for step in CARDS[metric].steps if step.act not in list(Scope) or step.act == scope)
