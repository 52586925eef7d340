from django.urls import path

from apps.console.agents import views

urlpatterns = [
    path("agents/", views.agents, name="agents"),
    path("agents/<int:pk>/", views.agent, name="agent"),
    path("agents/<int:pk>/log/", views.agent_log, name="agent-log"),
    path("agents/<int:pk>/log/search/", views.search_log, name="agent-log-search"),
    path("agents/<int:pk>/log/download/", views.download_log, name="agent-log-download"),
    path("agents/<int:pk>/changes/", views.changes, name="agent-changes"),
    path("agents/<int:pk>/do/<str:verb>", views.do, name="agent-do"),
]
