from django.db import models


class Lease(models.Model):
    """A right that expires. `epoch` grows with each new holder, so that a stale holder's write can be refused."""

    name = models.CharField(max_length=80, unique=True)
    holder = models.CharField(max_length=120, blank=True)
    epoch = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'free'}"
