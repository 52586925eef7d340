"""Agents' tokens: each is scoped to one start of one agent and dead when that ends."""

from dataclasses import dataclass

from apps.access.domain.tokens import new_token, token_hash
from apps.fleet.models import LIVE, Agent

__all__ = ["TokenHolder", "agent_for_token", "new_agent_token", "token_hash"]


@dataclass(frozen=True, slots=True)
class TokenHolder:
    pk: int
    name: str
    group: str
    role: str
    host: str = ""
    repository: str = ""  # of its workspace; empty: it has none


def new_agent_token() -> str:
    return new_token("agent")


def agent_for_token(token: str) -> TokenHolder | None:
    """Whose token this is, while that agent lives."""
    rows = Agent.objects.filter(token_hash=token_hash(token), state__in=LIVE)
    row = rows.values_list("pk", "name", "group", "role", "host__name", "workspace__repository__name").first()
    return TokenHolder(*(value or "" for value in row)) if row else None
