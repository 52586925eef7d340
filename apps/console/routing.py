from django.urls import path

from apps.console.consumer import console_socket

websocket_urlpatterns = [
    path("ws/v1/console/", console_socket),  # type: ignore[arg-type]  # an ASGI application, as Channels wants
]
