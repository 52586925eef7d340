"""Who may reach us: loopback by default, anything else only when the operator has locked the doors."""

import ipaddress

from django.conf import settings


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
    missing = []
    if not settings.ALLOWED_HOSTS_ARE_SET:
        missing.append("ALLOWED_HOSTS (the names by which browsers reach this machine)")
    if not settings.SECRET_KEY_IS_SET:
        missing.append("SECRET_KEY (50 random characters)")
    if missing:
        return f"--bind {bind} opens the yard to the network: set {' and '.join(missing)} first."
    return ""
