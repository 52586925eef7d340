"""What `runhost` reads and leaves outside of its rows: the machine's figures, Redis, control groups."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings

from apps.fleet import cgroup
from apps.fleet.actions.observe import HostReading
from apps.fleet.models import Agent
from apps.fleet.places import marker, run_dir
from apps.lib import procfs
from apps.lib.redis import RedisUnavailable
from apps.telemetry.domain.sample import Reading
from apps.telemetry.ingest import AgentNow, StreamFull, append_readings, forget, read_now

log = logging.getLogger(__name__)
OVER_LIMIT = "over-limit"  # in its run directory: it had reached its hard memory limit


def words_of(agents: Iterable[Agent]) -> dict[int, AgentNow]:
    """What agents said of themselves over their websockets."""
    try:
        return read_now(agent.pk for agent in agents)
    except RedisUnavailable:
        return {}


def is_of_this_run(word: AgentNow, agent: Agent) -> bool:
    """What its last run said is dropped when that ends; not when Redis was away then."""
    return agent.launched_at is not None and word.at >= agent.launched_at.timestamp()


def kill_limited(agents: Iterable[Agent]) -> None:
    """Those that have a control group of their own: nothing that is in it escapes."""
    for agent in agents:
        if group := cgroup.group_of(marker(agent), cgroup.root_of_limits()):
            cgroup.kill(group)


def tidy_after(agent: Agent) -> bool:
    """Things that an agent leaves behind elsewhere. None of them is a reason not to write down its end. True when it
    had reached its hard memory limit."""
    try:
        forget(agent.pk)
    except RedisUnavailable as error:
        log.debug("what %s said stays for now: %s", agent.name, error)
    witness = run_dir(agent) / OVER_LIMIT
    group = cgroup.group_of(marker(agent), cgroup.root_of_limits())
    if group is None:
        return witness.exists()
    over_limit = cgroup.kills(group) > 0
    if over_limit:
        with suppress(OSError):
            witness.touch()  # the group goes now, and the end may have to be written by a runhost after us
    try:
        cgroup.remove(group)
    except OSError as error:
        log.warning("the control group of %s stays: %s", agent.name, error)
    return over_limit


def send(readings: list[Reading]) -> None:
    """Readings of memory and CPU are worth a second: with Redis away or full they are let go."""
    try:
        append_readings(readings)
    except (RedisUnavailable, StreamFull) as error:
        log.debug("readings not sent: %s", error)


def host_reading() -> HostReading:
    topology, memory, disk = procfs.cpu_topology(), procfs.read_memory(), procfs.disk(settings.SWARMYARD_HOME)
    return HostReading(
        logical_cpus=topology.logical,
        physical_cpus=topology.physical,
        usable_cpus=topology.usable,
        load_1=os.getloadavg()[0],
        memory_total=memory.total,
        memory_available=memory.available,
        memory_pressure=procfs.pressure("memory"),
        cpu_pressure=procfs.pressure("cpu"),
        io_pressure=procfs.pressure("io"),
        disk_total=disk.total,
        disk_free=disk.free,
    )
