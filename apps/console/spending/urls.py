from django.urls import path

from apps.console.spending import views

urlpatterns = [path("spending/", views.spending, name="spending")]
