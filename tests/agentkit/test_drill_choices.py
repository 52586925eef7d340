from __future__ import annotations

from agentkit.drilling.choices import Draw, pools

FILES = [f"src/m{number}.py" for number in range(250)] + ["README.md", "logo.png"]


def test_a_draw_repeats_on_every_machine() -> None:
    draw = Draw("seed", "w1/agent-01", 3)

    assert [draw.number(1000) for _ in range(4)] == [240, 745, 744, 942]


def test_draws_are_even_and_differ_by_part() -> None:
    shares = [Draw("seed", agent, number).share() for agent in ("a", "b") for number in range(1000)]

    assert 0.45 < sum(shares) / len(shares) < 0.55
    assert min(shares) >= 0
    assert max(shares) < 1
    assert len(set(shares)) == 2000


def test_agents_of_a_wave_share_some_files_and_own_others_alone() -> None:
    chosen = [pools(FILES, seed="0", agent=f"w1/agent-{number:02d}") for number in range(1, 101)]
    shared = {tuple(each[0]) for each in chosen}
    own = [path for each in chosen for path in each[1]]

    assert len(shared) == 1
    assert len(own) == len(set(own))
    assert not set(own) & set(chosen[0][0])
    assert all(each[1] for each in chosen)


def test_code_comes_before_text() -> None:
    shared, own = pools([*(f"notes{n}.md" for n in range(50)), "a.py", "b.py"], seed="0", agent="")

    assert set(shared[:2]) == {"a.py", "b.py"}
    assert len(shared + own) == 52


def test_the_order_of_the_listing_does_not_matter() -> None:
    assert pools(FILES, seed="0", agent="agent-7") == pools(FILES[::-1], seed="0", agent="agent-7")


def test_another_seed_is_another_split() -> None:
    assert pools(FILES, seed="0", agent="agent-7") != pools(FILES, seed="1", agent="agent-7")


def test_where_files_run_out_an_agent_owns_none() -> None:
    shared, own = pools(["a.py"], seed="0", agent="agent-7")

    assert (shared, own) == (["a.py"], [])
