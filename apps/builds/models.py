from django.db import models

from apps.builds.domain.lock_waits import LockKind
from apps.fleet.models import Agent, Host
from apps.workspaces.models import Repository, Workspace


class Scheme(models.TextChoices):
    """What has a directory of its own, beside each agent: see docs/reference/builds.md."""

    LEAN = "lean"
    STRICT = "strict"


class BuildOptions(models.Model):
    """What Swarmyard does for the builds of a repository. A repository without a row has the defaults."""

    repository = models.OneToOneField(Repository, on_delete=models.CASCADE, related_name="build_options")
    own_directories = models.BooleanField(
        default=True, help_text="each agent builds in directories of its own"
    )
    scheme = models.CharField(max_length=10, choices=Scheme, default=Scheme.LEAN)
    slots = models.BooleanField(default=True, help_text="builds wait for a slot of their host")
    jobserver = models.BooleanField(
        default=False, help_text="builds of a host share a number of compilers, whatever each would start"
    )
    warm_start = models.BooleanField(
        default=True, help_text="a base is kept built, and build directories of new agents are made from it"
    )
    same_path = models.BooleanField(
        default=True, help_text="agents see their workspaces at one path, where their host can do that"
    )
    base_commands = models.TextField(
        blank=True, help_text="what the base is built with, a cargo command a line; empty for the usual ones"
    )
    compiler_cache = models.BooleanField(
        default=True, help_text="release builds and first builds ask their host's compiler cache"
    )

    class Meta:
        verbose_name_plural = "build options"

    def __str__(self) -> str:
        return f"builds of {self.repository}"


class BuildDirectory(models.Model):
    """Where one agent's builds of one kind go. `parts` is what its key was made of."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="build_directories")
    path = models.CharField(max_length=4096)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.SET_NULL, null=True, related_name="build_directories"
    )
    repository = models.ForeignKey(
        Repository, on_delete=models.CASCADE, null=True, related_name="build_directories"
    )
    tool = models.CharField(max_length=20)
    key = models.CharField(max_length=64, blank=True, help_text="empty for one that its user chose")
    parts = models.JSONField(default=dict)
    warm_source = models.CharField(max_length=200, blank=True, help_text="what it was seeded from")
    builds = models.PositiveIntegerField(default=0)
    size_bytes = models.BigIntegerField(null=True, help_text="on disk, as last looked at")
    shared_bytes = models.BigIntegerField(
        null=True, help_text="the part of that which has links outside of it as well"
    )
    sized_at = models.DateTimeField(null=True, help_text="when somebody last looked")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "build directories"
        constraints = [models.UniqueConstraint(fields=["host", "path"], name="one_row_per_build_directory")]

    def __str__(self) -> str:
        return self.path


class BaseState(models.TextChoices):
    NONE = "none"
    QUEUED = "queued"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Base(models.Model):
    """What agents of a repository start from on a host: a checkout of its target branch that is kept built.

    `commit` is what the state is about, `wanted` where the branch stands as last looked at. What is on disk tells
    itself whether it is whole (bases.py): a row may be behind it."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="bases")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="bases")
    state = models.CharField(max_length=10, choices=BaseState, default=BaseState.NONE)
    state_at = models.DateTimeField(help_text="when it came into its state")
    commit = models.CharField(max_length=64, blank=True)
    wanted = models.CharField(max_length=64)
    wanted_at = models.DateTimeField(help_text="when the branch was first seen there")
    used_at = models.DateTimeField(help_text="when agents were made last")
    attempts = models.PositiveIntegerField(default=0, help_text="builds of `wanted` that began")
    problem = models.CharField(max_length=500, blank=True)
    built_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True, help_text="that its last build took")
    size_bytes = models.BigIntegerField(null=True, help_text="of its build directories, on disk")
    modes = models.JSONField(default=list, help_text="commands that it was built with")
    same_path = models.BooleanField(default=False, help_text="built at the path at which agents see theirs")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "host"], name="one_base_per_host")]

    def __str__(self) -> str:
        return f"base of {self.repository} on {self.host}"


class BuildState(models.TextChoices):
    WAITING = "waiting", "waiting for a slot"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    KILLED = "killed", "ended by a signal"
    LOST = "lost"


OPEN = (BuildState.WAITING, BuildState.RUNNING)


class BuildQuerySet(models.QuerySet["Build"]):
    def open(self) -> "BuildQuerySet":
        return self.filter(state__in=OPEN)

    def with_names(self) -> "BuildQuerySet":
        """Of who built and where, without the long texts of agents."""
        return self.select_related("agent", "host").defer("agent__prompt", "agent__command")


class Build(models.Model):
    """One run of a build tool, as its shim reported it."""

    report = models.CharField(max_length=64, help_text="the shim's name for it")
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="builds")
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="builds")
    directory = models.ForeignKey(
        BuildDirectory, on_delete=models.SET_NULL, null=True, related_name="recorded_builds"
    )
    who = models.CharField(
        max_length=80, blank=True, help_text="name of the agent, or what a user calls himself"
    )
    group = models.CharField(max_length=40, blank=True, help_text="its agent's: the label of a wave")
    tool = models.CharField(max_length=20)
    mode = models.CharField(max_length=20)
    arguments = models.CharField(max_length=4096, blank=True)
    cwd = models.CharField(max_length=4096, blank=True)
    pid = models.PositiveIntegerField(help_text="of its shim")
    start_ticks = models.BigIntegerField(default=0, help_text="of that process, as in /proc/PID/stat")
    state = models.CharField(max_length=10, choices=BuildState, default=BuildState.WAITING)
    asked_at = models.DateTimeField(db_index=True)
    began_at = models.DateTimeField(null=True, help_text="when it had its slot")
    ended_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True, help_text="minus the number of the signal that ended it")
    slot_wait_ms = models.FloatField(default=0)
    lock_wait_ms = models.FloatField(default=0, help_text="for locks of files, all kinds")
    memory_bytes = models.BigIntegerField(null=True, help_text="of its largest process")

    objects = BuildQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "report"], name="one_row_per_build")]
        indexes = [
            models.Index(fields=["agent", "-asked_at"], name="build_by_agent"),
            models.Index(fields=["state", "-asked_at"], name="build_by_state"),
            models.Index(fields=["group", "-asked_at"], name="build_by_group"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.arguments}"[:80]


class LockWait(models.Model):
    """How long a build waited for one lock, and for whom; or an agent's git, which is no build."""

    build = models.ForeignKey(Build, on_delete=models.CASCADE, null=True, related_name="waits")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="git_waits")
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in LockKind])
    path = models.CharField(max_length=4096, blank=True)
    holder = models.ForeignKey(Build, on_delete=models.SET_NULL, null=True, related_name="held_up")
    holder_agent = models.ForeignKey(
        Agent, on_delete=models.SET_NULL, null=True, related_name="git_held_up", help_text="of another git"
    )
    holder_pid = models.PositiveIntegerField(default=0, help_text="0: not known")
    began_at = models.DateTimeField(db_index=True)
    ms = models.FloatField()

    class Meta:
        ordering = ["began_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(build__isnull=False) ^ models.Q(agent__isnull=False),
                name="a_build_or_an_agent_waited",
            )
        ]

    def __str__(self) -> str:
        return f"{self.ms:.0f} ms for {self.kind}"


class OngoingWait(models.Model):
    """A wait for a lock of a file that isn't over, as its host saw it last: all of a host's are written anew when they
    change, so that what nobody sees any more is gone."""

    build = models.ForeignKey(Build, on_delete=models.CASCADE, related_name="waits_now")
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in LockKind])
    path = models.CharField(max_length=4096, blank=True)
    holder = models.ForeignKey(Build, on_delete=models.SET_NULL, null=True, related_name="holds_up_now")
    holder_pid = models.PositiveIntegerField(default=0, help_text="0: not known")
    began_at = models.DateTimeField()

    class Meta:
        ordering = ["began_at"]

    def __str__(self) -> str:
        return f"{self.build} waits for {self.kind}"


class Source(models.TextChoices):
    """Where a recording is from: the tool's page of timings or its messages."""

    TIMINGS = "timings"
    MESSAGES = "messages"


class BuildRecording(models.Model):
    """What a build was made of. `content` is a domain Recording as JSON: read whole, never searched."""

    build = models.OneToOneField(Build, on_delete=models.CASCADE, related_name="recording")
    source = models.CharField(max_length=10, choices=Source)
    content = models.TextField()
    given_by = models.CharField(max_length=150, blank=True, help_text="empty: found in its build directory")
    kept_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"recording of build {self.build_id}"


class HostSlots(models.Model):
    """How many builds a host lets run at once, as it said last."""

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="build_slots")
    slots = models.PositiveIntegerField()
    told_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "host slots"

    def __str__(self) -> str:
        return f"{self.slots} on {self.host}"


class CompilerCache(models.Model):
    """A host's sccache, as it was found last. Counts begin anew when its server does."""

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="compiler_cache")
    problem = models.CharField(max_length=500, blank=True, help_text="why it isn't used; empty when it is")
    version = models.CharField(max_length=40, blank=True)
    location = models.CharField(max_length=500, blank=True)
    hits = models.BigIntegerField(default=0)
    misses = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    reasons = models.JSONField(
        default=dict, help_text="compilations that it couldn't cache, by what it says why"
    )
    size_bytes = models.BigIntegerField(null=True, help_text="null where the storage doesn't tell")
    most_bytes = models.BigIntegerField(null=True)
    looked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"compiler cache of {self.host}"

    @property
    def hit_ratio(self) -> float | None:
        """Of what could be cached, 0 to 1; None before anything was asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None
