from django.contrib import admin
from django.urls import include, path, re_path

from apps.exposition.views import metrics
from controlplane.api import api, nothing_here

urlpatterns = [
    path("api/v1/", api.urls),
    re_path("^api/", nothing_here),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
    path("", include("apps.console.urls")),
]
