from django.db import models

from apps.fleet.models import Agent
from apps.workspaces.domain.naming import without_secrets


class RepositoryState(models.TextChoices):
    CLONING = "cloning"
    READY = "ready"
    FAILED = "failed"


class Repository(models.Model):
    """A repository that agents work on. `path` is the user's own checkout or bare repository, or our clone of `url`."""

    name = models.CharField(max_length=100, unique=True)
    path = models.CharField(max_length=4096)
    url = models.CharField(max_length=2000, blank=True)
    target = models.CharField(
        max_length=250, help_text="branch that changes land on, and that agents start from"
    )
    state = models.CharField(max_length=10, choices=RepositoryState, default=RepositoryState.READY)
    problem = models.CharField(max_length=500, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)
    checkout_bytes = models.BigIntegerField(
        null=True, help_text="disk that a checkout of `checkout_commit` takes, as estimated"
    )
    checkout_commit = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "repositories"

    def __str__(self) -> str:
        return self.name

    @property
    def shown_url(self) -> str:
        return without_secrets(self.url)


class WorkspaceState(models.TextChoices):
    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


class Workspace(models.Model):
    """An agent's own checkout and branch."""

    repository = models.ForeignKey(Repository, on_delete=models.PROTECT, related_name="workspaces")
    agent = models.OneToOneField(Agent, on_delete=models.PROTECT, null=True, related_name="workspace")
    path = models.CharField(max_length=4096)
    git_directory = models.CharField(max_length=4096, blank=True)
    branch = models.CharField(max_length=250)
    base_commit = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=WorkspaceState, default=WorkspaceState.CREATING)
    problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repository", "branch"], name="one_workspace_per_branch")
        ]

    def __str__(self) -> str:
        return self.branch
