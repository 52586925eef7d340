from django.urls import path

from apps.console.repositories import views

urlpatterns = [path("repositories/", views.repositories, name="repositories")]
