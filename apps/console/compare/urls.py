from django.urls import path

from apps.console.compare import views

urlpatterns = [path("compare/", views.compare, name="compare")]
