from __future__ import annotations

from rayreward import Sample, reward_function
from rayreward.checking.batching import probe_batching
from tests.checking.subjects import SUMS, last_word, subject


def from_the_mean(responses: list[str]) -> list[float]:
    mean = sum(map(len, responses)) / len(responses)
    return [len(response) - mean for response in responses]


async def test_a_score_that_needs_no_neighbours_is_the_same_alone() -> None:
    checked = subject(last_word)
    assert (await probe_batching(checked, await checked.score(SUMS, checked.material.units))).level == "ok"


async def test_a_batch_reward_that_compares_what_happens_to_come_together_is_found() -> None:
    checked = subject(from_the_mean)
    finding = await probe_batching(checked, await checked.score(SUMS, checked.material.units))
    assert finding.level == "wrong"
    assert finding.remedy is not None
    assert 'mode="group"' in finding.remedy


async def test_the_same_comparison_by_groups_is_right() -> None:
    groups = tuple(Sample(prompt=f"p{n % 2}", response="x" * n) for n in range(6))
    checked = subject(reward_function(mode="group")(from_the_mean), groups)
    finding = await probe_batching(checked, await checked.score(groups, checked.material.units))
    assert (finding.level, finding.found) == ("ok", "2 groups, one a call and together: the same scores")
