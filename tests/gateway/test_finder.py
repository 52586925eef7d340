"""Looking up tokens for many sockets at once."""

import asyncio

import pytest
from django.db import OperationalError

from apps.fleet.models import State
from apps.fleet.tokens import TokenHolder, agents_for_tokens
from apps.gateway import finder
from apps.gateway.finder import AgentFinder
from tests.factories import make_workspace

HOLDER = TokenHolder(1, "w1/agent-01", "w1", "coder")


def look_ups(monkeypatch, answer) -> list[list[str]]:
    asked: list[list[str]] = []

    async def find_agents(tokens: list[str]) -> dict[str, TokenHolder]:
        asked.append(tokens)
        await asyncio.sleep(0)
        return answer(tokens)

    monkeypatch.setattr(finder, "find_agents", find_agents)
    return asked


def test_sockets_that_ask_together_share_a_look_up(monkeypatch):
    asked = look_ups(monkeypatch, lambda tokens: {"good": HOLDER})

    async def scenario() -> list[TokenHolder | None]:
        find = AgentFinder()
        return await asyncio.gather(*(find(token) for token in ("good", "bad", "good", "other")))

    assert asyncio.run(scenario()) == [HOLDER, None, HOLDER, None]
    assert asked == [["good", "bad", "other"]]


def test_everyone_is_told_that_the_database_is_away_and_the_next_look_up_is_a_new_one(monkeypatch):
    answers = iter([OperationalError("gone"), {"good": HOLDER}])

    def answer(_: list[str]) -> dict[str, TokenHolder]:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    look_ups(monkeypatch, answer)

    async def scenario() -> list[TokenHolder | BaseException | None]:
        find = AgentFinder()
        return [*await asyncio.gather(find("good"), find("bad"), return_exceptions=True), await find("good")]

    first, second, third = asyncio.run(scenario())
    assert isinstance(first, OperationalError)
    assert isinstance(second, OperationalError)
    assert third == HOLDER


def test_one_that_goes_away_takes_no_other_with_it(monkeypatch):
    look_ups(monkeypatch, lambda tokens: {"good": HOLDER})

    async def scenario() -> TokenHolder | None:
        find = AgentFinder()
        gone, stays = asyncio.create_task(find("good")), asyncio.create_task(find("good"))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(scenario()) == HOLDER


@pytest.mark.django_db(transaction=True)
def test_it_says_where_an_agent_runs_and_on_what(make_agent):
    agent, token = make_agent()
    free, other = make_agent()
    _, dead = make_agent(state=State.EXITED)
    workspace = make_workspace(agent)

    found = agents_for_tokens([token, other, dead, "never"])

    assert found == {
        token: TokenHolder(agent.pk, "w1/agent-01", "w1", "coder", "here", workspace.repository.name),
        other: TokenHolder(free.pk, "w1/agent-02", "w1", "coder", "here", ""),
    }
