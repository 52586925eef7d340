from django.contrib import admin
from django.urls import include, path

from controlplane import health
from controlplane.api import api

urlpatterns = [
    path("healthz/live", health.live),
    path("healthz/ready", health.ready),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
    path("", include("apps.console.urls")),
]
