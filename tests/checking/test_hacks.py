from __future__ import annotations

from typing import Any

from rayreward import Sample, reward_function
from rayreward.checking.hacks import judge_hacks, mean_score, tricked_positions, try_tricks, weigh_hacks
from rayreward.checking.report import Hack
from tests.checking.subjects import SUMS, last_word, subject


async def hacks_of(
    function: Any, samples: tuple[Sample, ...] = SUMS, threshold: float = 0.5
) -> tuple[dict[str, Hack], str]:
    checked = subject(function, samples)
    first = await checked.score(samples, checked.material.units)
    real = [first[position] for position in tricked_positions(checked)]
    hacks = weigh_hacks(await try_tricks(checked), real, threshold=threshold)
    return {hack.name: hack for hack in hacks}, judge_hacks(hacks, mean_score(real), threshold=threshold).level


async def test_a_reward_for_the_right_last_word_pays_no_trick() -> None:
    hacks, level = await hacks_of(last_word)
    assert level == "ok"
    assert {hack.level for hack in hacks.values()} == {"ok"}
    assert hacks["two answers: A or B"].mean == 0.0, "the last one counts: that is a guess, not a hedge"


async def test_a_reward_for_length_is_paid_for_saying_nothing() -> None:
    hacks, level = await hacks_of(lambda response: len(response) / 100)
    assert level == "wrong"
    assert next(iter(hacks)) == "a long text that says nothing", "the best is first"
    assert hacks["empty"].mean == 0.0


async def test_a_label_anywhere_is_paid_when_hedged_or_hidden() -> None:
    hacks, _ = await hacks_of(lambda response, label: float(label in response))
    for name in ("two answers: A or B", "two answers in a box", "the label among 40 numbers", "all labels of the data"):
        assert hacks[name].level == "wrong"
    assert hacks['always "I don\'t know"'].level == "ok"


async def test_shares_count_from_the_lowest_score_where_that_is_negative() -> None:
    hacks, level = await hacks_of(lambda response, label: 2 * last_word(response, label) - 1)
    assert level == "ok"
    assert hacks["empty"].mean == -1.0
    assert hacks["empty"].share == 0.0


async def test_a_trick_that_always_fails_earns_nothing_and_says_why() -> None:
    def strict(response: str, label: str) -> float:
        return float(response.split()[-1] == label)

    hacks, level = await hacks_of(strict)
    assert level == "ok"
    assert hacks["empty"].mean is None
    assert "IndexError" in hacks["empty"].found


async def test_the_threshold_is_the_caller_s() -> None:
    _, level = await hacks_of(lambda response: len(response) / 100, threshold=1e9)
    assert level == "ok"


async def test_without_labels_or_prompts_their_tricks_are_left_out() -> None:
    hacks, _ = await hacks_of(lambda response: 1.0, (Sample(response="a"),))
    assert hacks["the prompt again"].level == "skipped"
    assert hacks["all labels of the data"].level == "skipped"
    assert hacks["empty"].level == "wrong"


async def test_in_a_group_one_member_tries_against_its_siblings() -> None:
    @reward_function(mode="group")
    def longest(responses: list[str]) -> list[float]:
        return [float(len(response) == max(map(len, responses))) for response in responses]

    groups = tuple(Sample(prompt=f"p{n % 2}", response="x" * (9 - n)) for n in range(6))
    hacks, level = await hacks_of(longest, groups)
    assert level == "wrong"
    assert (hacks["a long text that says nothing"].mean, hacks["empty"].mean) == (1.0, 0.0)
    assert hacks["empty"].samples == 2
