from django.urls import path

from apps.console.consumer import ConsoleConsumer

websocket_urlpatterns = [path("ws/v1/console/", ConsoleConsumer.as_asgi())]
