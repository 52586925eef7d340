"""What is known of a build, for its page."""

from datetime import datetime

from apps.builds.domain.words import exit_words
from apps.builds.models import Build
from apps.console import display, links
from apps.console.agents.facts import Fact
from apps.console.builds.directories import OF_A_BASE
from apps.console.builds.rows import took_text, who_of
from apps.console.templatetags.display_tags import clock
from apps.lib.text import plain_text


def facts_of(build: Build) -> list[Fact]:
    directory = build.directory
    facts = [
        Fact(
            "Agent", plain_text(who_of(build), 80), href=links.agent(build.agent_id) if build.agent_id else ""
        ),
        Fact("Host", build.host.name, href=links.HOSTS),
        Fact("Command", plain_text(f"{build.tool} {build.arguments}", 2000), copies=True),
        Fact("In", plain_text(build.cwd, 1000), copies=bool(build.cwd)),
        Fact("Build directory", plain_text(directory.path, 1000), copies=True)
        if directory
        else Fact("Build directory", "only the tool knows"),
        Fact("Mode", plain_text(build.mode, 20)),
        Fact("Ended with", exit_words(build.exit_code)),
        Fact(
            "Waited for a slot",
            display.NONE if build.began_at is None else took_text(build.slot_wait_ms / 1000),
        ),
        Fact("Waited for locks", took_text(build.lock_wait_ms / 1000)),
        Fact(
            "Memory",
            display.size_text(build.memory_bytes) + " (largest process)" if build.memory_bytes else "",
        ),
        output_of(build),
        Fact("Process", f"pid {build.pid} (its shim)"),
        *(Fact(word, clock(at)) for word, at in times_of(build) if at),
    ]
    return [fact for fact in facts if fact.text]


def output_of(build: Build) -> Fact:
    """It goes to whoever ran the build; the yard keeps what agents print, and a base's log."""
    if build.agent_id:
        return Fact(
            "Output", "what its agent passed on is in the agent's log", href=links.log_of(build.agent_id)
        )
    if build.directory is not None and OF_A_BASE in build.directory.path:
        return Fact("Output", "in the log of the base", href=links.BASES)
    return Fact("Output", "not kept")


def times_of(build: Build) -> tuple[tuple[str, datetime | None], ...]:
    return (("Asked for", build.asked_at), ("Began", build.began_at), ("Ended", build.ended_at))
