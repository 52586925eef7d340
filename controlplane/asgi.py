"""The web process: pages, API, and the websocket of open pages. Agents come in through the gateway's own process."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
pages = get_asgi_application()

# Only now: these read models.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402

from apps.console.routing import websocket_urlpatterns  # noqa: E402
from controlplane import lean_sockets  # noqa: E402
from controlplane.doors import refuse_open_door  # noqa: E402

refuse_open_door(settings.SWARMYARD_BIND)
lean_sockets.use()

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(SessionMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
