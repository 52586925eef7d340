from django.urls import include, path
from django.views.decorators.http import require_safe

from apps.console import pages

AREAS = ("access", "yard", "waves", "agents", "repositories", "hosts", "events")

urlpatterns = [
    *(path("", include(f"apps.console.{area}.urls")) for area in AREAS),
    path("live/<str:name>/", require_safe(pages.fragment), name="fragment"),
]
