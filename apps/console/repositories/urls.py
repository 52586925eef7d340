from django.urls import path

from apps.console.repositories import views

urlpatterns = [
    path("repositories/", views.repositories, name="repositories"),
    path("repositories/<int:pk>/", views.repository, name="repository"),
    path("repositories/<int:pk>/builds/<str:option>", views.set_option, name="repository-option"),
]
