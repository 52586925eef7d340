from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet

from apps.access.domain.tokens import new_token, token_hash
from apps.access.exceptions import LinkRefused
from apps.access.models import ApiToken, Membership, SignInLink
from apps.access.roles import require, role_of
from apps.events.actions import Fact, record
from apps.events.domain.actor import YARD, Actor, Role

LINK_LIFETIME = timedelta(minutes=15)


@transaction.atomic
def make_sign_in_link(*, username: str, now: datetime) -> str:
    """A token that signs `username` in once; an unknown user is made with the role admin. Returns the token."""
    users = get_user_model().objects
    user, created = users.get_or_create(username=username)
    if created:
        user.set_unusable_password()
        user.save()
        Membership.objects.create(user=user, role=Role.ADMIN)
    token = new_token("link")
    SignInLink.objects.create(user=user, token_hash=token_hash(token), expires_at=now + LINK_LIFETIME)
    record(Fact("access.link_made", YARD, f"sign-in link for {username}", subject=username))
    return token


@transaction.atomic
def redeem_sign_in_link(*, token: str, now: datetime) -> Any:
    """The user whom the link signs in. Raises LinkRefused when it is unknown, used or expired."""
    links = SignInLink.objects.filter(
        token_hash=token_hash(token), used_at=None, expires_at__gt=now, user__is_active=True
    )
    if links.update(used_at=now) != 1:
        raise LinkRefused(
            "This sign-in link is unknown, expired or used already. `python manage.py signin` makes a new one."
        )
    user = SignInLink.objects.select_related("user").get(token_hash=token_hash(token)).user
    note_sign_in(user=user, way="link")
    return user


def note_sign_in(*, user: Any, way: str) -> None:
    name = user.get_username()
    record(Fact("access.signed_in", person(user), f"{name} signed in by {way}", subject=name))


def note_failed_sign_in(*, username: str, address: str) -> None:
    """Whoever it was isn't known: the name is what they gave. The caller bounds how many there are."""
    text = f"failed sign-in as “{username}” from {address or 'an unknown address'}"
    record(Fact("access.sign_in_failed", YARD, text, subject=username))


def note_sign_out(*, user: Any) -> None:
    name = user.get_username()
    record(Fact("access.signed_out", person(user), f"{name} signed out", subject=name))


def person(user: Any) -> Actor:
    return Actor("user", user.get_username(), role_of(user) or Role.VIEWER)


@transaction.atomic
def make_api_token(
    *, user: Any, name: str, role: Role, actor: Actor, expires_at: datetime | None = None
) -> str:
    """A new API token; shown once, here."""
    require(actor, role, f"make a token with the role {role.word}")
    token = new_token("yard")
    ApiToken.objects.create(
        user=user, name=name, role=role, token_hash=token_hash(token), expires_at=expires_at
    )
    record(Fact("access.token_made", actor, f"API token “{name}” ({role.word})", subject=name))
    return token


@transaction.atomic
def revoke_api_token(*, token: ApiToken, actor: Actor, now: datetime) -> None:
    require(actor, Role(token.role), "revoke this token")
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now) == 1:
        record(Fact("access.token_revoked", actor, f"API token “{token.name}” revoked", subject=token.name))


def forget_expired_links(*, now: datetime, limit: int) -> int:
    """Used ones too: they expire a few minutes after they were made. Returns how many were removed."""
    return remove_some(SignInLink.objects.filter(expires_at__lt=now), limit)


def forget_expired_sessions(*, now: datetime, limit: int) -> int:
    return remove_some(Session.objects.filter(expire_date__lt=now), limit)


def remove_some(rows: QuerySet[Any], limit: int) -> int:
    pks = list(rows.values_list("pk", flat=True)[:limit])
    if pks:
        rows.filter(pk__in=pks).delete()
    return len(pks)
