"""Agents' tokens: each is scoped to one start of one agent and dead when that ends."""

from collections.abc import Collection
from dataclasses import dataclass

from apps.access.domain.tokens import new_token, token_hash
from apps.fleet.models import LIVE, Agent

__all__ = ["TokenHolder", "agent_for_token", "agents_for_tokens", "new_agent_token", "token_hash"]

FIELDS = ("pk", "name", "group", "role", "host__name", "workspace__repository__name")
TOKENS_AT_ONCE = 500


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
    return agents_for_tokens([token]).get(token)


def agents_for_tokens(tokens: Collection[str]) -> dict[str, TokenHolder]:
    """Whose tokens these are; those of no living agent are missing."""
    by_hash = {token_hash(token): token for token in tokens}
    hashes, found = list(by_hash), {}
    for first in range(0, len(hashes), TOKENS_AT_ONCE):
        rows = Agent.objects.filter(token_hash__in=hashes[first : first + TOKENS_AT_ONCE], state__in=LIVE)
        for found_hash, pk, name, group, role, host, repository in rows.values_list("token_hash", *FIELDS):
            found[by_hash[found_hash]] = TokenHolder(pk, name, group, role, host, repository or "")
    return found
