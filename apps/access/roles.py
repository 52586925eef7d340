"""Who may do what: the one place that turns a person into an actor, and refuses."""

import getpass
import os
from typing import Any

from apps.access.exceptions import NotAllowed
from apps.access.models import Membership
from apps.events.domain.actor import Actor, Role


def require(actor: Actor, role: Role, what: str) -> None:
    if actor.role < role:
        raise NotAllowed(f"{actor.name} is a {actor.role.word}: to {what}, the role {role.word} is needed.")


def role_of(user: Any) -> Role | None:
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    membership = Membership.objects.filter(user=user).first()
    return Role(membership.role) if membership else None


def actor_for(user: Any) -> Actor:
    role = role_of(user)
    if role is None:
        raise NotAllowed(
            "Sign in with an account that has a role: an admin gives one under Admin, Memberships."
        )
    return Actor("user", user.get_username(), role)


def shell_actor() -> Actor:
    """Whoever can run manage.py can read and write the database: an admin."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor("shell", name, Role.ADMIN)
