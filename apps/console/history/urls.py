from django.urls import path

from apps.console.history import views

urlpatterns = [path("history/", views.history, name="history")]
