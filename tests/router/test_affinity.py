from __future__ import annotations

import random
from collections import Counter

import pytest

from rayreward.router.affinity import choose_replica, prompt_key
from rayreward.sample import Sample

PROMPTS = [f"prompt {number}" for number in range(3000)]
REPLICAS = ["a1b2c3", "d4e5f6", "g7h8i9", "j0k1l2"]


def places(replicas: list[str]) -> dict[str, str | None]:
    return {prompt: choose_replica(prompt, replicas) for prompt in PROMPTS}


def test_while_the_same_replicas_run_nothing_moves() -> None:
    shuffled = random.Random(0).sample(REPLICAS, k=len(REPLICAS))
    assert places(REPLICAS) == places(shuffled)


def test_each_replica_has_about_as_many_prompts_as_the_others() -> None:
    counts = Counter(places(REPLICAS).values())
    assert counts.keys() == set(REPLICAS)
    assert all(650 < count < 850 for count in counts.values()), counts


@pytest.mark.parametrize("gone", REPLICAS)
def test_a_replica_that_goes_gives_its_own_prompts_to_all_others_and_nothing_else_moves(gone: str) -> None:
    before, after = places(REPLICAS), places([replica for replica in REPLICAS if replica != gone])
    moved = {prompt for prompt in PROMPTS if before[prompt] != after[prompt]}
    assert moved == {prompt for prompt in PROMPTS if before[prompt] == gone}
    assert all(count > 150 for count in Counter(after[prompt] for prompt in moved).values())


def test_one_that_comes_takes_its_share_and_nothing_else_moves() -> None:
    before, after = places(REPLICAS[:3]), places(REPLICAS)
    moved = [prompt for prompt in PROMPTS if before[prompt] != after[prompt]]
    assert {after[prompt] for prompt in moved} == {REPLICAS[3]}
    assert 650 < len(moved) < 850


def test_where_nobody_runs_nobody_is_chosen_and_the_only_one_has_all() -> None:
    assert choose_replica("p", []) is None
    assert choose_replica("p", ["a"]) == "a"


def test_siblings_are_those_of_a_group_or_else_of_a_prompt() -> None:
    def key(prompt: str, group_id: str | None = None) -> str:
        return prompt_key(Sample(prompt=prompt, response="r", group_id=group_id))

    assert key("p") == key("p") != key("q")
    assert key("p", "g") == key("q", "g") != key("p", "h")
    assert key("g") != key("p", "g"), "a group's name is no prompt"
    chat = [{"role": "user", "content": "2 + 2?"}]
    one, other = (Sample([*chat, {"role": "assistant", "content": answer}]) for answer in ("4", "5"))
    assert prompt_key(one) == prompt_key(other)
    assert choose_replica(key("\ud800"), REPLICAS) in REPLICAS
