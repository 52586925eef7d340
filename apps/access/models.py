from datetime import datetime

from django.conf import settings
from django.db import models

from apps.events.domain.actor import Role


class Membership(models.Model):
    """A person's role. A user without a row may look at nothing; a superuser is an admin."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership")
    role = models.PositiveSmallIntegerField(
        choices=[(role.value, role.word) for role in Role], default=Role.VIEWER
    )

    def __str__(self) -> str:
        return f"{self.user} ({Role(self.role).word})"


class ApiToken(models.Model):
    """A person's token for the HTTP API. Only its hash is kept; `role` caps what it may do."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    token_hash = models.CharField(max_length=64, unique=True)
    role = models.PositiveSmallIntegerField(
        choices=[(role.value, role.word) for role in Role], default=Role.VIEWER
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class SignInLink(models.Model):
    """A link that signs one person in, once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link for {self.user}"
