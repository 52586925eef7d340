from django.urls import path

from apps.console.service_levels import views

urlpatterns = [path("service-levels/", views.service_levels, name="service-levels")]
