from django.urls import path

from apps.console.events import views

urlpatterns = [path("events/", views.events, name="events")]
