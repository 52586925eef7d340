"""What an operator can get wrong on a machine: each check answers with what it found and what to do."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from apps.builds import by_hand, sccache, views
from apps.builds.models import BuildOptions
from apps.builds.option_actions import switched_off
from apps.builds.toolchains import NoToolchain, linkers, toolchain_of
from apps.capacity.domain.admission import MB
from apps.fleet import cgroup, launcher, view
from apps.fleet.domain.health import Health
from apps.fleet.domain.preset import Preset, PresetError
from apps.fleet.equipment import limits_problems, presence_of
from apps.fleet.models import Host
from apps.fleet.places import presets_dir
from apps.fleet.presets import load_presets
from apps.fleet.readings import answers
from apps.lib import procfs
from apps.lib.process import ProgramMissing, run
from apps.lib.redis import RedisUnavailable, ping
from controlplane.doors import bind_problem
from controlplane.redis_server import NoRedis, server_binary, socket_path

OLDEST_GIT = (2, 20)  # worktrees with --no-track and --no-checkout as we use them


@dataclass(frozen=True, slots=True)
class Finding:
    """`level`: "ok", "note" (something optional isn't there), "warning", "error" (nothing works without it)."""

    name: str
    level: str
    text: str
    hint: str = ""


def examine() -> list[Finding]:
    """All findings, in the order in which they matter."""
    findings: list[Finding] = []
    for check in CHECKS:
        found = check()
        findings += found if isinstance(found, list) else [found]
    return findings


def check_python() -> Finding:
    return Finding("python", "ok", sys.version.split()[0])


def check_git() -> Finding:
    try:
        words = run(["git", "--version"], timeout=10).text().split()
    except ProgramMissing:
        return Finding("git", "error", "not found", "Install git: every workspace is a git worktree.")
    version = tuple(int(part) for part in re.findall(r"\d+", words[2])[:2])
    if version < OLDEST_GIT:
        return Finding("git", "error", words[2], "Install git 2.20 or newer.")
    return Finding("git", "ok", words[2])


def check_launcher() -> Finding:
    missing = [tool for tool in ("sh", "setsid", *launcher.TOOLS) if shutil.which(tool) is None]
    if missing:
        hint = "Install util-linux (setsid) and GNU coreutils: agents are started with them."
        return Finding("launcher", "error", f"not found: {', '.join(missing)}", hint)
    return Finding("launcher", "ok", "setsid, stdbuf and the others are there")


def check_cargo() -> Finding:
    if shutil.which("cargo") is None:
        return Finding("cargo", "note", "not found", "Only agents that build Rust need it.")
    return Finding("cargo", "ok", run(["cargo", "--version"], timeout=20).text().strip())


def check_home() -> Finding:
    home = settings.SWARMYARD_HOME
    if not os.access(home, os.W_OK | os.X_OK):
        return Finding(
            "home", "error", f"{home} can't be written", "Set SWARMYARD_HOME to a directory of your own."
        )
    disk = procfs.disk(home)
    text = f"{home}, {disk.free // MB} MB free"
    if disk.free < settings.MIN_FREE_DISK_MB * MB:
        hint = f"Below {settings.MIN_FREE_DISK_MB} MB no agent starts: free some, or set SWARMYARD_MIN_FREE_DISK_MB."
        return Finding("home", "warning", text, hint)
    return Finding("home", "ok", text)


def check_redis() -> Finding:
    if not settings.REDIS_IS_EMBEDDED:
        try:
            ping()
        except RedisUnavailable as error:
            return Finding("redis", "error", "REDIS_URL doesn't answer", error.hint)
        return Finding("redis", "ok", "REDIS_URL answers")
    try:
        binary, _ = server_binary(), socket_path(settings.SWARMYARD_HOME)
    except NoRedis as error:
        return Finding("redis", "error", "none to start", str(error))
    return Finding("redis", "ok", f"embedded, {binary}")


def check_database() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Finding("database", "error", str(error), "Check DATABASE_URL and that the server runs.")
    if waiting:
        hint = "`manage.py migrate` brings it up to date; `manage.py up` does that by itself."
        return Finding(
            "database", "warning", f"{connection.vendor}, {len(waiting)} migrations to apply", hint
        )
    return Finding("database", "ok", connection.vendor)


def check_bind() -> Finding:
    binds = list(dict.fromkeys((settings.SWARMYARD_BIND, settings.SWARMYARD_GATEWAY_BIND)))
    problems = [problem for bind in binds if (problem := bind_problem(bind))]
    return Finding("bind", "error" if problems else "ok", ", ".join(binds), " ".join(problems))


def check_hosts() -> Finding:
    now = timezone.now()
    try:
        health = {host.name: host.health(now) for host in Host.objects.all()}
    except DatabaseError:
        return Finding("hosts", "note", "not known before the database is set up")
    ill = [f"{name} {state}" for name, state in health.items() if state != Health.HEALTHY]
    if not health or len(ill) == len(health):
        return Finding("hosts", "note", "no host answers", "`manage.py up` starts this machine's.")
    return Finding("hosts", "warning" if ill else "ok", ", ".join(ill) or f"{len(health)} healthy")


def check_limits() -> Finding:
    """By what this machine's runhost says: it may be in another control group than whoever asks here."""
    reason = cgroup.obstacle(cgroup.root_of_limits())
    host = reporting_host()
    if host is not None:
        reason = limits_problems([host], timezone.now()).get(host.name, "")
    hint = "Only agents whose preset sets `memory_limit_mb` need it." if reason else ""
    return Finding(
        "memory limits", "note" if reason else "ok", reason or "control groups can be written", hint
    )


def check_same_path() -> Finding:
    """As with limits: what this machine's runhost found counts."""
    host = reporting_host()
    reason = view.obstacle() if host is None else (host.equipment or {}).get("view_problem", "")
    if reason:
        hint = "New agents' builds are warm for their dependencies alone: see docs/guide/warm-starts.md."
        return Finding("same path", "note", reason, hint)
    if not settings.SAME_PATH:
        return Finding("same path", "note", "switched off", "SWARMYARD_SAME_PATH=1 switches it on.")
    if views.has_wrapper(settings.SWARMYARD_HOME):
        hint = "Unset RUSTC_WRAPPER (rustc-wrapper in cargo's files): its server would see one agent's files."
        return Finding("same path", "note", "off, as there is a compiler wrapper of your own", hint)
    return Finding("same path", "ok", "agents that build see their workspaces at one path")


def reporting_host() -> Host | None:
    """This machine's runhost, if it answers and has said what is there."""
    try:
        host = Host.objects.filter(name=settings.HOST_NAME).first()
    except DatabaseError:
        return None
    return host if host is not None and host.equipment and answers(host, timezone.now()) else None


def check_pressure() -> Finding:
    if procfs.pressure("memory") is None:
        return Finding(
            "pressure", "note", "this kernel tells no memory pressure", "Admission goes by memory alone."
        )
    return Finding("pressure", "ok", "the kernel tells memory pressure")


def check_presets() -> list[Finding]:
    try:
        presets = load_presets(presets_dir())
    except PresetError as error:
        return [Finding("presets", "error", str(error), "Mend or remove that file.")]
    host = reporting_host()
    hosts = [host] if host is not None else []
    return [check_preset(preset, hosts) for preset in presets.values() if preset.executable != "{command}"]


def check_preset(preset: Preset, hosts: list[Host]) -> Finding:
    presence = presence_of(preset, hosts, timezone.now())
    if not presence.found:
        text = f"{preset.executable} is not installed on {presence.where}"
        return Finding(f"preset {preset.name}", "note", text, preset.install_hint)
    return Finding(f"preset {preset.name}", "ok", f"{presence.path} on {presence.where}")


def check_slots() -> Finding:
    limit = settings.BUILD_SLOTS or max(1, int(procfs.cpu_topology().usable or 1))
    return Finding("build slots", "ok", f"{limit} builds at once; half of them while memory is short")


def check_compiler_cache() -> Finding:
    try:
        program = sccache.find()
        sccache.require_storage()
    except sccache.CacheRefused as error:
        hint = "Release builds and first builds compile all of it."
        return Finding("compiler cache", "note", str(error), hint)
    where = sccache.storage() or f"{settings.COMPILER_CACHE_GB} GB at most"
    running = "runs" if sccache.running() else "its server is started by runhost"
    return Finding("compiler cache", "ok", f"sccache {program.version}, {where}, {running}")


def check_by_hand() -> list[Finding]:
    """Build directories of people on this machine; nothing where there are none."""
    directories = by_hand.everywhere()
    if not directories:
        return []
    old = len(by_hand.unused(days=by_hand.DAYS, now=timezone.now()))
    text = f"{len(directories)} directories of people, {old} unused for {by_hand.DAYS} days"
    hint = "`manage.py builds clean --by-hand` removes those." if old else ""
    return [Finding("builds by hand", "note" if old else "ok", text, hint)]


def check_linkers() -> Finding:
    try:
        toolchain = toolchain_of(settings.SWARMYARD_HOME)
    except (NoToolchain, OSError) as error:
        return Finding("linkers", "note", f"not known: {error}", "Only agents that build Rust need one.")
    names = [linker.name for linker in linkers(toolchain)[1:]]
    return Finding(
        "linkers", "ok", f"{', '.join(names) or 'none'}; `builds suggest --measure` tells the fastest"
    )


def check_build_options() -> list[Finding]:
    """Repositories for which something is switched off."""
    try:
        rows = list(BuildOptions.objects.select_related("repository").order_by("repository__name"))
    except DatabaseError:
        return []
    hint = "`builds options REPOSITORY NAME=on` switches it on again."
    return [
        Finding(f"builds of {row.repository.name}", "note", f"switched off: {', '.join(off)}", hint)
        for row in rows
        if (off := switched_off(row))
    ]


CHECKS: tuple[Callable[[], Finding | list[Finding]], ...] = (
    check_python,
    check_git,
    check_launcher,
    check_home,
    check_redis,
    check_database,
    check_bind,
    check_hosts,
    check_cargo,
    check_slots,
    check_compiler_cache,
    check_by_hand,
    check_linkers,
    check_build_options,
    check_pressure,
    check_limits,
    check_same_path,
    check_presets,
)
