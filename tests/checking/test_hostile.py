from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rayreward import FailureKind, RewardOutput, Sample, reward_function
from rayreward.checking.hostile import hostile_inputs, judge_hostile, probe_hostile
from rayreward.checking.report import HostileCase
from rayreward.checking.subject import PATIENCE, Subject
from tests.checking.subjects import SUMS, material, subject


async def cases_of(function: Any, samples: tuple[Sample, ...] = SUMS) -> dict[str, HostileCase]:
    checked = subject(function, samples)
    first = await checked.score(samples, checked.material.units)
    return {case.name: case for case in await probe_hostile(checked, first)}


async def test_a_score_or_a_failure_that_says_why_is_an_answer() -> None:
    def careful(response: str, label: Any) -> float | None:
        return float(response.endswith(label)) if isinstance(label, str) else None

    cases = await cases_of(careful)
    assert {case.level for case in cases.values()} == {"ok"}
    assert cases["label: empty text"].score == 1.0
    assert cases["label: None"].found.startswith("abstained")
    assert judge_hostile(list(cases.values())).level == "ok"


async def test_an_exception_is_a_note_and_a_nan_is_wrong() -> None:
    def careless(response: str, label: str) -> float:
        if not response:
            return float("nan")
        return float(label in response)

    cases = await cases_of(careless)
    assert cases["response: empty"].level == "wrong"
    assert cases["label: None"].level == "note"
    assert "TypeError" in cases["label: None"].found
    finding = judge_hostile(list(cases.values()))
    assert finding.level == "wrong"
    assert "1 of 25 inputs: response: empty (gives no valid score)" in finding.found


async def test_it_stands_in_its_group() -> None:
    sizes: list[int] = []

    @reward_function(mode="group")
    def counted(responses: list[str]) -> list[float]:
        sizes.append(len(responses))
        return [0.0] * len(responses)

    await cases_of(counted, tuple(Sample(prompt="p", response=text) for text in "abc"))
    assert {*sizes} == {3}


async def test_after_a_few_hangs_the_rest_is_not_tried() -> None:
    async def call(samples: Sequence[Sample]) -> list[RewardOutput]:
        return [RewardOutput.failed(FailureKind.TIMEOUT, "no answer")] * len(samples)

    cases = await probe_hostile(Subject(call, material()), [RewardOutput(1.0)] * len(SUMS))
    assert [case.level for case in cases[: PATIENCE + 1]] == ["wrong"] * PATIENCE + ["skipped"]
    assert "22 not tried" in judge_hostile(cases).found


def test_texts_of_hostile_inputs_are_what_they_say() -> None:
    inputs = {hostile.name: hostile.change(SUMS[0]) for hostile in hostile_inputs()}
    assert len(inputs["response: 1 MB of spaces"].response) == 1_000_000
    assert "\ud800" in inputs["response: half of a surrogate pair"].response
    assert inputs["label: None"].response == SUMS[0].response
    assert inputs["response: empty"].label == SUMS[0].label
