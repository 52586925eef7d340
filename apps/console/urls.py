from django.urls import include, path
from django.views.decorators.http import require_safe

from apps.console import pages

urlpatterns = [
    path("", include("apps.console.access.urls")),
    path("", include("apps.console.yard.urls")),
    path("live/<str:name>/", require_safe(pages.fragment), name="fragment"),
]
