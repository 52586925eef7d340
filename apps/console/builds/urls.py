from django.urls import path

from apps.console.builds import views

urlpatterns = [
    path("builds/", views.builds, name="builds"),
    path("builds/waits/", views.waits, name="build-waits"),
    path("builds/directories/", views.directories, name="build-directories"),
    path("builds/<int:pk>/", views.build, name="build"),
    path("builds/<int:pk>/analysis/", views.analysis, name="build-analysis"),
    path("builds/<int:pk>/record", views.record, name="build-record"),
]
