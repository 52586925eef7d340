from django.urls import path

from apps.console.alerts import views

urlpatterns = [
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/<int:pk>/", views.alert, name="alert"),
    path("alerts/<int:pk>/do/<str:verb>", views.do, name="alert-do"),
    path("alerts/rules/", views.rules, name="alert-rules"),
    path("alerts/rules/new", views.rule_new, name="alert-rule-new"),
    path("alerts/rules/<slug:key>/do/<str:verb>", views.rule_do, name="alert-rule-do"),
    path("alerts/silences/", views.silences, name="alert-silences"),
    path("alerts/silences/<int:pk>/end", views.silence_end, name="alert-silence-end"),
    path("alerts/destinations/", views.destinations, name="alert-destinations"),
    path("alerts/destinations/<int:pk>/do/<str:verb>", views.destination_do, name="alert-destination-do"),
]
