"""Who calls the HTTP API: a signed-in session (with CSRF) or a person's API token. Either becomes `request.actor`."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthenticationError
from ninja.security import HttpBearer, SessionAuth

from apps.access.domain.tokens import token_hash
from apps.access.exceptions import NotAllowed
from apps.access.models import ApiToken
from apps.access.roles import actor_for
from apps.events.domain.actor import Actor, Role

USED_EVERY = timedelta(minutes=1)  # how often "last used" is written


class SessionActor(SessionAuth):
    """The browser's session cookie; ninja checks CSRF for it."""

    def __call__(self, request: HttpRequest) -> Actor | None:
        # Whoever has no session isn't told of CSRF, but of how to sign in.
        found: Actor | None = super().__call__(request) if self.param_name in request.COOKIES else None
        return found

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:
        try:
            return actor_for(request.user)
        except NotAllowed:
            return None


class TokenActor(HttpBearer):
    """`Authorization: Bearer yard_…`; acts with the lower of the token's role and its owner's."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """Raises AuthenticationError: a token that is given and isn't good is never made up for by a session."""
        row = ApiToken.objects.select_related("user").filter(token_hash=token_hash(token)).first()
        now = timezone.now()
        if row is None or not row.is_valid(now):
            raise AuthenticationError(
                message="This API token is unknown, expired or revoked: `manage.py apitoken make` makes a new one."
            )
        try:
            owner = actor_for(row.user)
        except NotAllowed:
            raise AuthenticationError(message="The owner of this API token has no role any more.") from None
        if row.last_used_at is None or now - row.last_used_at > USED_EVERY:
            ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
        return Actor("user", f"{owner.name} ({row.name})", Role(min(owner.role, row.role)))


AUTHENTICATION: list[Any] = [TokenActor(), SessionActor()]


def actor_of(request: HttpRequest) -> Actor:
    """The actor that authentication found."""
    actor: Actor = request.auth  # type: ignore[attr-defined]
    return actor
