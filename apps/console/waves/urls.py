from django.urls import path

from apps.console.waves import views

urlpatterns = [
    path("waves/", views.waves, name="waves"),
    path("waves/new/", views.new, name="wave-new"),
    path("waves/new/plan", views.preview, name="wave-plan"),
    path("waves/<str:label>/", views.wave, name="wave"),
    path("waves/<str:label>/do/<str:verb>", views.do, name="wave-do"),
]
