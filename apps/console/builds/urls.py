from django.urls import path

from apps.console.builds import tuning_views, views

urlpatterns = [
    path("builds/", views.builds, name="builds"),
    path("builds/waits/", views.waits, name="build-waits"),
    path("builds/directories/", views.directories, name="build-directories"),
    path("builds/bases/", tuning_views.bases, name="build-bases"),
    path("builds/bases/<int:pk>/log/", tuning_views.base_log, name="build-base-log"),
    path("builds/bases/<int:pk>/build", tuning_views.build_base, name="build-base-now"),
    path("builds/caches/", tuning_views.caches, name="build-caches"),
    path("builds/caches/<int:pk>/clear", tuning_views.clear, name="build-cache-clear"),
    path("builds/<int:pk>/", views.build, name="build"),
    path("builds/<int:pk>/analysis/", views.analysis, name="build-analysis"),
    path("builds/<int:pk>/record", views.record, name="build-record"),
]
