from django.urls import path

from apps.console.hosts import views

urlpatterns = [
    path("hosts/", views.hosts, name="hosts"),
    path("hosts/<int:pk>/do/<str:verb>", views.do, name="host-do"),
]
