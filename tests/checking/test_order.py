from __future__ import annotations

from rayreward import Sample, reward_function
from rayreward.checking.order import probe_order
from tests.checking.subjects import SUMS, last_word, subject

GROUPS = tuple(Sample(prompt=f"p{n % 2}", response="x" * n) for n in range(6))


async def test_samples_that_are_scored_for_themselves_do_not_mind() -> None:
    checked = subject(last_word)
    assert (await probe_order(checked, await checked.score(SUMS, checked.material.units))).level == "ok"


async def test_a_reward_that_remembers_the_sample_before_is_found() -> None:
    before = ""

    def improves(response: str) -> float:
        nonlocal before
        before, seen = response, before
        return float(response > seen)

    checked = subject(improves)
    finding = await probe_order(checked, await checked.score(SUMS, checked.material.units))
    assert finding.level == "wrong"
    assert finding.found.startswith("in another order ")


async def test_the_members_of_a_group_are_turned_round_too() -> None:
    @reward_function(mode="group")
    def longest(responses: list[str]) -> list[float]:
        return [float(len(response) == max(map(len, responses))) for response in responses]

    @reward_function(mode="group")
    def first(responses: list[str]) -> list[float]:
        return [float(position == 0) for position in range(len(responses))]

    for reward, level in ((longest, "ok"), (first, "wrong")):
        checked = subject(reward, GROUPS)
        assert (await probe_order(checked, await checked.score(GROUPS, checked.material.units))).level == level
