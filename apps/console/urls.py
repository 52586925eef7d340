from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from apps.console import pages

AREAS = (
    *(
        "access",
        "yard",
        "alerts",
        "waves",
        "agents",
        "builds",
        "repositories",
        "hosts",
        "compare",
        "spending",
        "service_levels",
        "events",
        "history",
    ),
)

urlpatterns = [
    # Browsers ask for it on pages that name no icon, as the admin's.
    path("favicon.ico", login_not_required(RedirectView.as_view(url="/static/img/icon.svg")), name="favicon"),
    *(path("", include(f"apps.console.{area}.urls")) for area in AREAS),
    path("live/<str:name>/", require_safe(pages.fragment), name="fragment"),
]
