"""Rows for tests: plain functions with defaults, everything of a row can be given."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model

from apps.access.models import Membership
from apps.alerts.actions.watch import ensure_rules
from apps.alerts.models import Alert, Destination, Rule
from apps.builds.models import Base, Build, BuildDirectory, CompilerCache, LockWait, OngoingWait
from apps.events.domain.actor import Role
from apps.events.models import Event
from apps.fleet.models import Agent, Desired, Host, State
from apps.waves.models import Member, Wave
from apps.workspaces.models import Repository, Workspace, WorkspaceState

_numbers = itertools.count(1)

GB = 1024**3
MB = 1024**2


def now() -> datetime:
    return datetime.now(UTC)


def make_user(name: str = "ada", role: Role | None = Role.OPERATOR, **overrides: Any) -> Any:
    user, created = get_user_model().objects.get_or_create(username=name, defaults=overrides)
    if created:
        user.set_unusable_password()
        user.save()
    if role is not None:
        Membership.objects.update_or_create(user=user, defaults={"role": role})
    return user


def make_host(name: str = "local", **overrides: Any) -> Host:
    """A healthy host with 32 GB, half of them used."""
    fields: dict[str, Any] = {
        "heartbeat_at": now(),
        "logical_cpus": 8,
        "physical_cpus": 4,
        "usable_cpus": 8.0,
        "load_1": 3.2,
        "memory_total": 32 * GB,
        "memory_available": 16 * GB,
        "memory_pressure": 0.4,
        "cpu_pressure": 12.0,
        "io_pressure": 1.5,
        "disk_total": 500 * GB,
        "disk_free": 210 * GB,
    }
    host, _ = Host.objects.update_or_create(name=name, defaults={**fields, **overrides})
    return host


def make_repository(name: str | None = None, **overrides: Any) -> Repository:
    name = name or f"repository-{next(_numbers)}"
    return Repository.objects.create(name=name, **{"path": f"/srv/{name}", "target": "main", **overrides})


def make_wave(label: str | None = None, **overrides: Any) -> Wave:
    """A wave's own row; `make_member` gives it agents."""
    fields: dict[str, Any] = {
        "base_commit": "c0ffee" * 6 + "c0ff",
        "preset": "drill",
        "size": 8,
        "created_by": "ada",
    }
    if "repository" not in overrides:
        fields["repository"] = make_repository()
    return Wave.objects.create(label=label or f"w{next(_numbers)}", **{**fields, **overrides})


def make_agent(name: str | None = None, **overrides: Any) -> Agent:
    """A busy agent."""
    name = name or f"w0/agent-{next(_numbers):03d}"
    fields: dict[str, Any] = {
        "group": name.partition("/")[0],
        "preset": "drill",
        "state": State.BUSY,
        "desired": Desired.RUNNING,
        "activity": "editing src/ingest/frame.rs",
        "epoch": 1,
        "pid": 4711,
        "launched_at": now() - timedelta(minutes=5),
        "first_seen_at": now() - timedelta(minutes=5),
        "seen_at": now(),
        "output_at": now() - timedelta(seconds=3),
        "memory_bytes": 120 * MB,
    }
    if "host" not in overrides:
        fields["host"] = Host.objects.first() or make_host()
    return Agent.objects.create(name=name, **{**fields, **overrides})


def make_member(wave: Wave, **overrides: Any) -> Agent:
    """An agent in its wave, with its workspace's row."""
    number = wave.members.count() + 1
    agent = make_agent(f"{wave.label}/agent-{number:02d}", **overrides)
    step = (number - 1) // (wave.step_size or 10_000)
    Member.objects.create(wave=wave, agent=agent, number=number, step=step)
    make_workspace(agent, repository=wave.repository, base_commit=wave.base_commit)
    return agent


def make_workspace(agent: Agent, **overrides: Any) -> Workspace:
    fields: dict[str, Any] = {
        "path": f"/srv/workspaces/{agent.name}",
        "branch": f"yard/{agent.name}",
        "base_commit": "c0ffee" * 6 + "c0ff",
        "state": WorkspaceState.READY,
        "ready_at": now(),
    }
    if "repository" not in overrides:
        fields["repository"] = make_repository()
    return Workspace.objects.create(agent=agent, **{**fields, **overrides})


def make_event(text: str = "w1 started", **overrides: Any) -> Event:
    fields: dict[str, Any] = {"kind": "wave.started", "actor_kind": "user", "actor": "ada", "text": text}
    return Event.objects.create(**{**fields, **overrides})


def make_rule(key: str = "slow", **overrides: Any) -> Rule:
    """One of the yard's own."""
    ensure_rules([])
    Rule.objects.filter(key=key).update(**overrides)
    return Rule.objects.get(key=key)


def make_alert(key: str = "slow", **overrides: Any) -> Alert:
    """One that has been firing for two minutes, about the yard."""
    rule = overrides.pop("rule", None) or make_rule(key)
    fields: dict[str, Any] = {
        "scope": rule.scope,
        "subject_id": 0,
        "subject": "the yard",
        "state": "firing",
        "severity": rule.severity,
        "value": rule.threshold * 1.5,
        "worst": rule.threshold * 2,
        "threshold": rule.threshold,
        "pending_at": now() - timedelta(minutes=3),
        "fired_at": now() - timedelta(minutes=2),
        "seen_at": now(),
    }
    return Alert.objects.create(rule=rule, **{**fields, **overrides})


def make_destination(name: str = "ops", **overrides: Any) -> Destination:
    fields: dict[str, Any] = {
        "url": "json://127.0.0.1:9/secret-hook",
        "created_by": "ada",
        "created_at": now(),
    }
    return Destination.objects.create(name=name, **{**fields, **overrides})


def make_build(agent: Agent | None = None, **overrides: Any) -> Build:
    """One of cargo that took eight seconds and passed."""
    asked_at = overrides.pop("asked_at", None) or now() - timedelta(seconds=20)
    fields: dict[str, Any] = {
        "report": f"{next(_numbers):020d}.4711",
        "agent": agent,
        "who": agent.name if agent else "ada",
        "group": agent.group if agent else "",
        "tool": "cargo",
        "mode": "check",
        "arguments": "check -p ingest",
        "cwd": "/srv/workspaces/w1",
        "pid": 4711,
        "state": "passed",
        "asked_at": asked_at,
        "began_at": asked_at,
        "ended_at": asked_at + timedelta(seconds=8),
        "exit_code": 0,
        "memory_bytes": 300 * MB,
    }
    if "host" not in overrides:
        fields["host"] = agent.host if agent else Host.objects.first() or make_host()
    return Build.objects.create(**{**fields, **overrides})


def make_lock_wait(build: Build, **overrides: Any) -> LockWait:
    """Two seconds for its build directory, from a second after it was asked for."""
    fields: dict[str, Any] = {
        "kind": "build-directory",
        "path": "/srv/target/debug/.cargo-lock",
        "began_at": build.asked_at + timedelta(seconds=1),
        "ms": 2000.0,
    }
    return LockWait.objects.create(build=build, **{**fields, **overrides})


def make_ongoing_wait(build: Build, **overrides: Any) -> OngoingWait:
    """For its build directory, since a second after it was asked for."""
    fields: dict[str, Any] = {
        "kind": "build-directory",
        "path": "/srv/target/debug/.cargo-lock",
        "began_at": build.asked_at + timedelta(seconds=1),
    }
    return OngoingWait.objects.create(build=build, **{**fields, **overrides})


def make_base(repository: Repository | None = None, **overrides: Any) -> Base:
    """One that is ready, built in 42 seconds half an hour ago."""
    at = now() - timedelta(minutes=30)
    fields: dict[str, Any] = {
        "repository": repository or make_repository(),
        "state": "ready",
        "state_at": at,
        "commit": "3f2a" * 10,
        "wanted": "3f2a" * 10,
        "wanted_at": at,
        "used_at": at,
        "built_at": at,
        "seconds": 42.0,
        "size_bytes": 900 * MB,
        "modes": ["cargo check --workspace --all-targets"],
        "same_path": True,
    }
    if "host" not in overrides:
        fields["host"] = Host.objects.first() or make_host()
    return Base.objects.create(**{**fields, **overrides})


def make_compiler_cache(host: Host | None = None, **overrides: Any) -> CompilerCache:
    """One that hits 9 of 10, and has 3 of its 50 GB."""
    fields: dict[str, Any] = {
        "version": "0.10.0",
        "location": "Local disk: /srv/home/builds/sccache/cache",
        "hits": 900,
        "misses": 100,
        "reasons": {"crate-type": 12},
        "size_bytes": 3 * GB,
        "most_bytes": 50 * GB,
        "looked_at": now(),
    }
    return CompilerCache.objects.create(host=host or make_host(), **{**fields, **overrides})


def make_build_directory(agent: Agent | None = None, **overrides: Any) -> BuildDirectory:
    """One that an agent has used once."""
    number = next(_numbers)
    workspace = getattr(agent, "workspace", None)
    fields: dict[str, Any] = {
        "path": f"/srv/home/builds/directories/{number}/stable-0a1b2c3d",
        "workspace": workspace,
        "repository": workspace.repository if workspace else None,
        "tool": "cargo",
        "key": "stable-0a1b2c3d",
        "parts": {"toolchain": "stable", "flags": ""},
        "builds": 1,
        "used_at": now(),
    }
    if "host" not in overrides:
        fields["host"] = agent.host if agent else Host.objects.first() or make_host()
    return BuildDirectory.objects.create(**{**fields, **overrides})
