"""Who may reach us: loopback by default, anything else only when the operator has locked the doors."""

import ipaddress

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SHORTEST_KEY = 32


def is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def bind_problem(bind: str) -> str:
    """Why we must not listen on `bind`; "" when we may."""
    if is_loopback(bind):
        return ""
    found = open_locks()
    return f"Listening on {bind} opens the yard to the network: {' and '.join(found)} first." if found else ""


def open_locks() -> list[str]:
    """What an operator must do before others may reach us."""
    found = []
    if not settings.ALLOWED_HOSTS_ARE_SET:
        found.append("set ALLOWED_HOSTS (the names by which browsers reach this machine)")
    elif "*" in settings.ALLOWED_HOSTS:
        found.append("name the hosts in ALLOWED_HOSTS, which has a “*”")
    if not settings.SECRET_KEY_IS_SET:
        found.append("set SECRET_KEY (50 random characters)")
    elif len(settings.SECRET_KEY) < SHORTEST_KEY:
        found.append(f"make SECRET_KEY at least {SHORTEST_KEY} random characters long")
    if settings.DEBUG:
        found.append("switch SWARMYARD_DEBUG off")
    return found


def refuse_open_door(bind: str) -> None:
    """For a process that is about to serve `bind`, whoever started it."""
    if problem := bind_problem(bind):
        raise ImproperlyConfigured(problem)
