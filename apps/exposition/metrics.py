"""All that `/metrics` may say, as data: names and types as monitoring systems keep them. `docs/reference/prometheus.md`
says the same, and a test holds the two together."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

BASE_UNITS = ("seconds", "bytes", "ratio", "usd")
PREFIX = "swarmyard_"
# Seconds. The targets of the service levels are among them, so that the share within a target can be told.
DURATIONS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

OF_A_WAVE = ("wave", "role")
OF_AN_AGENT = ("agent", "wave", "role")


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Its name without what the type adds to it."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name

    @property
    def unit(self) -> str:
        """A base unit that its name ends with; empty for plain counts."""
        return next((unit for unit in BASE_UNITS if self.family.endswith(f"_{unit}")), "")


METRICS: dict[str, Metric] = {}


def define(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    metric = METRICS[PREFIX + name] = Metric(PREFIX + name, kind, text, labels)
    return metric


# What answers
REDIS_UP = define(
    "redis_up", "gauge", "1 when Redis answers. When it is 0, all that is read from there is left out."
)
TELEMETRY_FRESH = define(
    "telemetry_fresh",
    "gauge",
    "1 when the newest figures are recent, 0 when the telemetry process is down or behind.",
)
SNAPSHOT_AGE = define("telemetry_snapshot_age_seconds", "gauge", "Age of the newest figures.")
LAG = define(
    "telemetry_lag_seconds",
    "gauge",
    "Age of the totals: every sample acknowledged before then is in the counters of operations.",
)
STREAM_ENTRIES = define(
    "telemetry_stream_entries", "gauge", "Entries that the sample stream holds, counted or not."
)
STREAM_BYTES = define("telemetry_stream_bytes", "gauge", "Bytes of samples that the sample stream holds.")
OMITTED = define(
    "omitted",
    "gauge",
    "Live agents, open waves and models of waves that are left out here, for their number.",
    "what",
)

# Operations
OPERATIONS = define(
    "operations_total", "counter", "Operations that agents reported: ok, error, or induced (on purpose).",
    *OF_A_WAVE, "outcome",
)  # fmt: skip
CORRECTED = define(
    "corrected_operations_total",
    "counter",
    "Operations counted at their arrival, as their agent's clock was off.",
    *OF_A_WAVE,
)
DURATION = define(
    "operation_duration_seconds", "histogram", "Duration of operations, lock wait included.", *OF_A_WAVE
)
LOCK_WAIT = define("lock_wait_seconds_total", "counter", "Time that operations waited for locks.", *OF_A_WAVE)
PERCENTILE = define(
    "recent_duration_seconds",
    "gauge",
    "Duration of operations over the last minute, whole yard: p50, p95, p99 (right to 1 %) and max.",
    "rank",
)
RECENT_THROUGHPUT = define(
    "recent_operations_per_second", "gauge", "Operations per second over the last minute, whole yard."
)
LOAD_BALANCE = define(
    "load_balance_ratio",
    "gauge",
    "1 less the coefficient of variation of operations per agent over the last minute, at least 0.",
)
DISTRIBUTION_VARIANCE = define(
    "distribution_variance_ratio",
    "gauge",
    "Coefficient of variation of operations per agent over the last minute.",
)
EFFICIENCY = define(
    "scaling_efficiency_ratio",
    "gauge",
    "Throughput over agents times the throughput of one agent, last minute.",
)
CONCURRENCY = define("concurrency", "gauge", "Operations under way on average over the last minute.")
COORDINATION_EFFICIENCY = define(
    "coordination_efficiency_ratio",
    "gauge",
    "1 less the share of operation time spent on coordination, last minute.",
)

LEVEL_TARGET = define(
    "service_level_target",
    "gauge",
    "Target of a service level, in the unit that its name tells or as a share.",
    "level",
)
LEVEL_MET = define(
    "service_level_met", "gauge", "1 when the last minute met the target, 0 when it missed it.", "level"
)

# Tokens and cost
TOKENS = define(
    "tokens_total",
    "counter",
    "Tokens that agents used, of all types: the higher of what an agent measured and printed.",
    *OF_A_WAVE,
)
COST = define(
    "cost_usd_total",
    "counter",
    "What their models cost in US dollars, as agents reckon it: the higher of what one measured and printed.",
    *OF_A_WAVE,
)
MEASURED_TOKENS = define(
    "measured_tokens_total",
    "counter",
    "Tokens that agents measured (OTLP) by type: input (no cache had it), cache_read, cache_write, output.",
    *OF_A_WAVE, "type",
)  # fmt: skip
MODEL_TOKENS = define(
    "model_tokens_total",
    "counter",
    "Tokens that agents measured of a model that they named, of all types.",
    "wave",
    "model",
)
MODEL_COST = define(
    "model_cost_usd_total",
    "counter",
    "What a model cost in US dollars, as the agents that named it measured.",
    "wave",
    "model",
)

# Agents, as many as the setting allows
AGENT_OPERATIONS = define(
    "agent_operations_total", "counter", "Operations that the agent reported.", *OF_AN_AGENT
)
AGENT_ERRORS = define("agent_errors_total", "counter", "Those that failed, but not on purpose.", *OF_AN_AGENT)
AGENT_SECONDS = define(
    "agent_operation_seconds_total", "counter", "Time that its operations took.", *OF_AN_AGENT
)
AGENT_LOCK_WAIT = define(
    "agent_lock_wait_seconds_total", "counter", "Time that its operations waited for locks.", *OF_AN_AGENT
)
AGENT_TOKENS = define("agent_tokens_total", "counter", "Tokens that it used, of all types.", *OF_AN_AGENT)
AGENT_COST = define("agent_cost_usd_total", "counter", "What its models cost in US dollars.", *OF_AN_AGENT)
AGENT_MEMORY = define("agent_memory_bytes", "gauge", "Resident memory of its process tree.", *OF_AN_AGENT)
AGENT_CPU = define("agent_cpu_cores", "gauge", "Cores that its process tree keeps busy.", *OF_AN_AGENT)
AGENT_STARTS = define("agent_starts_total", "counter", "How often the agent was started.", *OF_AN_AGENT)

# Fleet
AGENTS = define("agents", "gauge", "Agents by host and state, ended ones too.", "host", "state")
STARTS = define("starts_total", "counter", "Starts of agents, each restart too.", *OF_A_WAVE)
RESTARTS = define("restarts_total", "counter", "Starts of agents after their first.", *OF_A_WAVE)
QUEUE_TIME = define(
    "queue_time_seconds", "histogram", "From planned to allowed to start, once an agent.", *OF_A_WAVE
)
SPAWN_TIME = define(
    "spawn_time_seconds",
    "histogram",
    "From allowed to start to the first sign of life, once an agent.",
    *OF_A_WAVE,
)
HOST_UP = define("host_up", "gauge", "1 when the host gave a sign of life in the last 10 s.", "host")
HOST_HEARTBEAT_AGE = define("host_heartbeat_age_seconds", "gauge", "Age of its last sign of life.", "host")
HOST_DRAINING = define("host_draining", "gauge", "1 when it takes no new agents.", "host")
HOST_CPUS = define(
    "host_cpus", "gauge", "CPUs that can be used there, after affinity mask and quota.", "host"
)
HOST_LOAD = define("host_load_average", "gauge", "Load over one minute.", "host")
HOST_MEMORY = define("host_memory_bytes", "gauge", "Its memory.", "host")
HOST_MEMORY_AVAILABLE = define(
    "host_memory_available_bytes", "gauge", "Memory that is available there.", "host"
)
HOST_DISK = define("host_disk_bytes", "gauge", "The file system that its home is on.", "host")
HOST_DISK_FREE = define("host_disk_free_bytes", "gauge", "What is free of it.", "host")
HOST_PRESSURE = define(
    "host_pressure_ratio",
    "gauge",
    "Share of the last 10 s in which something waited for memory, cpu or io (PSI some).",
    "host",
    "resource",
)

# Compiler caches
CACHE_UP = define("compiler_cache_up", "gauge", "1 when the host has a compiler cache that works.", "host")
CACHE_HITS = define(
    "compiler_cache_hits_total",
    "counter",
    "Crates that came from the cache, since its server started.",
    "host",
)
CACHE_MISSES = define("compiler_cache_misses_total", "counter", "Crates that it hadn't.", "host")
CACHE_ERRORS = define("compiler_cache_errors_total", "counter", "Reads and writes of it that failed.", "host")
CACHE_PASSED = define(
    "compiler_cache_passed_total", "counter", "Compilations that it can't hold, by why.", "host", "reason"
)
CACHE_SIZE = define("compiler_cache_size_bytes", "gauge", "What it holds, where its storage tells.", "host")

# Waves, workspaces, jobs, events
WAVES = define("waves", "gauge", "Waves by state, ended ones too.", "state")
WAVE_AGENTS = define("wave_agents", "gauge", "Agents of an open wave by outcome.", "wave", "outcome")
HELD_BACK = define(
    "wave_held_back_agents",
    "gauge",
    "Agents of an open wave that can't start for want of room on a host; 0 when it waits for none.",
    "wave",
)
WORKSPACES = define("workspaces", "gauge", "Workspaces by state.", "state")
REPOSITORIES = define("repositories", "gauge", "Repositories by state.", "state")
JOBS = define("jobs", "gauge", "Jobs by queue: queued, running, failed (kept for a day).", "queue", "state")
EVENTS = define("events_total", "counter", "Events by kind.", "kind")

# The web process that answers
VIEWERS = define("viewers", "gauge", "Open pages that this web process pushes to.")
PUSHES = define("pushes_total", "counter", "Turns of the live push in this web process.")
PUSH_CPU = define(
    "push_cpu_seconds_total", "counter", "CPU time that rendering and sending pushes took in it."
)
