from django.urls import path

from apps.console.yard import views

urlpatterns = [path("", views.yard, name="yard")]
