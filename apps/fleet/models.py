from datetime import datetime

from django.db import models

from apps.fleet.domain.health import Health, health_of


class Host(models.Model):
    """A machine that runs agents. Its `runhost` process writes the readings once a second."""

    name = models.CharField(max_length=60, unique=True)
    registered_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True)
    boot_id = models.CharField(max_length=40, blank=True)
    home_id = models.CharField(max_length=40, blank=True, help_text="of the home that its runhost works in")
    pid = models.PositiveIntegerField(null=True)
    draining = models.BooleanField(default=False)
    logical_cpus = models.PositiveSmallIntegerField(null=True)
    physical_cpus = models.PositiveSmallIntegerField(null=True)
    usable_cpus = models.FloatField(null=True, help_text="after affinity mask and cgroup quota")
    load_1 = models.FloatField(null=True)
    memory_total = models.BigIntegerField(null=True, help_text="bytes")
    memory_available = models.BigIntegerField(null=True, help_text="bytes")
    memory_pressure = models.FloatField(
        null=True, help_text="PSI some avg10, percent; empty where the kernel has none"
    )
    cpu_pressure = models.FloatField(null=True, help_text="PSI some avg10, percent")
    io_pressure = models.FloatField(null=True, help_text="PSI some avg10, percent")
    disk_total = models.BigIntegerField(null=True, help_text="bytes, file system of the home")
    disk_free = models.BigIntegerField(null=True, help_text="bytes, file system of the home")
    equipment = models.JSONField(
        null=True, help_text="programs of presets and the like, see equipment.py; empty before it reported"
    )

    def __str__(self) -> str:
        return self.name

    def health(self, now: datetime) -> Health:
        age = (now - self.heartbeat_at).total_seconds() if self.heartbeat_at else None
        return health_of(age)


class Desired(models.TextChoices):
    """What the operator or a wave wants of an agent; `runhost` makes it so."""

    HELD = "held"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    KILLED = "killed"


class State(models.TextChoices):
    PLANNED = "planned"
    PREPARING = "preparing"
    READY = "ready"
    STARTING = "starting"
    BUSY = "busy"
    IDLE = "idle"
    WAITING = "waiting", "waiting for input"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"
    FAILED = "failed"
    LOST = "lost"


UNSTARTED = (State.PLANNED, State.PREPARING, State.READY)
ACTIVE = (State.BUSY, State.IDLE, State.WAITING)
LIVE = (State.STARTING, *ACTIVE, State.PAUSED, State.STOPPING)
ENDED = (State.EXITED, State.FAILED, State.LOST)


class RestartPolicy(models.TextChoices):
    NEVER = "never"
    LOST = "lost", "when it vanished or was killed from outside"
    FAILURE = "failure", "when it failed in any way"


class AgentQuerySet(models.QuerySet["Agent"]):
    def on_host(self, name: str) -> "AgentQuerySet":
        return self.filter(host__name=name)

    def live(self) -> "AgentQuerySet":
        return self.filter(state__in=LIVE)

    def ended(self) -> "AgentQuerySet":
        return self.filter(state__in=ENDED)

    def returning(self) -> "AgentQuerySet":
        return self.ended().exclude(restart_at=None)

    def for_host_to_do(self, name: str) -> "AgentQuerySet":
        """What `runhost` has to look at: all that lives, and all that is ready and wanted. Several times a second,
        so without the long texts."""
        wanted = models.Q(state=State.READY, desired=Desired.RUNNING)
        rows = self.on_host(name).filter(models.Q(state__in=LIVE) | wanted)
        return rows.defer("prompt", "command").order_by("pk")


class Agent(models.Model):
    """One running (or finished) instance of a preset in a workspace. `epoch` counts its starts."""

    name = models.CharField(max_length=80, unique=True, help_text="wave/agent, as in w12/agent-05")
    group = models.CharField(max_length=40, db_index=True, help_text="label of its wave")
    role = models.CharField(max_length=40, default="coder")
    capabilities = models.JSONField(default=list, blank=True)
    preset = models.CharField(max_length=40)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="agents")
    command = models.JSONField(default=list, help_text="arguments given by the operator")
    prompt = models.TextField(blank=True)
    environment = models.JSONField(default=dict, help_text="variables that it is given beside its preset's")
    workspace_path = models.CharField(max_length=4096, blank=True)
    view = models.JSONField(
        default=list, help_text="directories that it sees at other paths: pairs of where one is and is seen"
    )
    git_directory = models.CharField(
        max_length=4096, blank=True, help_text="of its checkout, inside the repository's"
    )
    memory_budget_mb = models.PositiveIntegerField(default=400)
    checkout_bytes = models.BigIntegerField(default=0, help_text="disk that its checkout takes, as estimated")
    restart_policy = models.CharField(max_length=10, choices=RestartPolicy, default=RestartPolicy.LOST)

    desired = models.CharField(max_length=10, choices=Desired, default=Desired.HELD)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    reason = models.CharField(max_length=300, blank=True, help_text="why it is in this state, for people")
    activity = models.CharField(max_length=200, blank=True, help_text="what it is doing now")
    epoch = models.PositiveIntegerField(default=0)
    restarts = models.PositiveIntegerField(default=0)
    restart_at = models.DateTimeField(null=True)
    token_hash = models.CharField(max_length=64, blank=True, db_index=True)

    pid = models.PositiveIntegerField(null=True)
    pid_started = models.BigIntegerField(null=True, help_text="clock ticks since boot, as in /proc/PID/stat")
    boot_id = models.CharField(max_length=40, blank=True)
    exit_code = models.IntegerField(null=True, help_text="as a shell reports it: 128+N for signal N")
    stop_requested_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True, help_text="when it was first wanted running")
    launched_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(null=True, help_text="first heartbeat of this epoch")
    seen_at = models.DateTimeField(null=True, help_text="last heartbeat")
    output_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Of its first start alone, so that sums over agents only grow.
    queue_time = models.DurationField(null=True, help_text="from planned to first wanted running")
    spawn_time = models.DurationField(null=True, help_text="from wanted running to the first sign of life")

    output_offset = models.BigIntegerField(
        default=0, help_text="bytes of its output that were read for status and cost"
    )
    tokens_in = models.BigIntegerField(null=True)
    tokens_out = models.BigIntegerField(null=True)
    cache_read = models.BigIntegerField(null=True)
    cache_creation = models.BigIntegerField(null=True)
    session_id = models.CharField(
        max_length=100, blank=True, help_text="the tool's own name for the conversation, to take it up again"
    )
    cost_usd = models.FloatField(null=True)
    memory_bytes = models.BigIntegerField(null=True, help_text="resident, whole process tree")
    processes = models.PositiveIntegerField(null=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["host", "state"], name="agent_by_host_state")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_returning(self) -> bool:
        """Ended, but to be started again by itself."""
        return self.is_ended and self.restart_at is not None

    @property
    def short_name(self) -> str:
        return self.name.rpartition("/")[2]

    def can(self, verb: str) -> bool:
        """Whether an operator's verb (pause, resume, stop, kill, restart) makes sense now."""
        if verb == "pause":
            return self.state in (State.STARTING, *ACTIVE) and self.desired == Desired.RUNNING
        if verb == "resume":
            return self.desired == Desired.PAUSED and (self.is_live or self.is_returning)
        if verb in {"stop", "kill"}:
            return self.is_returning or (not self.is_ended and self.desired != Desired.KILLED)
        return verb == "restart" and (self.is_ended or self.is_live)
