from typing import Any

from django.db import models

from apps.lib.text import plain_text


class EventQuerySet(models.QuerySet["Event"]):
    def newest_first(self) -> "EventQuerySet":
        return self.order_by("-id")

    def about(self, topic: str, subject_id: int) -> "EventQuerySet":
        return self.filter(topic=topic, subject_id=subject_id)


class Event(models.Model):
    """An append-only fact: the audit trail and the live feed. Rows are never changed, and removed
    only for their age."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    kind = models.CharField(max_length=60, db_index=True)
    actor_kind = models.CharField(max_length=10)
    actor = models.CharField(max_length=150)
    topic = models.CharField(max_length=20, blank=True)
    subject_id = models.BigIntegerField(null=True)
    subject = models.CharField(max_length=200, blank=True)
    text = models.CharField(max_length=500)
    data = models.JSONField(default=dict)

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["topic", "subject_id", "-id"], name="event_by_subject")]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.kind} {self.text}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("an event is a fact: it can't be changed after it was written")
        super().save(*args, **kwargs)


class ForgottenEvents(models.Model):
    """How many events of a kind were removed for their age: what is kept and these are all there ever were."""

    kind = models.CharField(max_length=60, unique=True)
    count = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "forgotten events"

    def __str__(self) -> str:
        return f"{self.count} of {self.kind}"


def clean_text(text: str, limit: int = 500) -> str:
    """One line without control characters: events quote what agents and repositories are called."""
    return plain_text(text, limit)
