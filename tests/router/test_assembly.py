from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rayreward.router.assembly import Assembly
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import FailureKind
from tests.router.stages import Stage, failed, said, samples, turns


def assembly(stage: Stage, *, group_size: int | None = None, group_wait_s: float = 600.0) -> Assembly:
    return Assembly(stage, group_size=group_size, group_wait_s=group_wait_s, now=ManualClock())


async def asked(front: Assembly, listed: list[Sample], **terms: Any) -> list[Any]:
    return said(await front.score(listed, Terms(**terms)))


async def test_a_whole_group_in_one_call_waits_for_nobody() -> None:
    stage = Stage()
    group = samples("a", "bb", group_id="g", group_size=2)
    assert await asked(assembly(stage), group) == [1.0, 2.0]
    assert stage.asked == [["a", "bb"]]


async def test_members_in_requests_of_their_own_travel_together_as_soon_as_all_have_come() -> None:
    stage = Stage()
    front = assembly(stage)
    calls = [
        asyncio.create_task(asked(front, samples(response, group_id="g", group_size=3)))
        for response in ("a", "bb", "ccc")
    ]
    assert [await call for call in calls] == [[1.0], [2.0], [3.0]]
    assert stage.asked == [["a", "bb", "ccc"]]
    assert front.open_count == 0


async def test_without_an_id_the_samples_of_one_run_and_prompt_are_a_group() -> None:
    stage = Stage()
    front = assembly(stage, group_size=2)
    calls = [
        asyncio.create_task(asked(front, samples(response, prompt=prompt), caller=run))
        for response, prompt, run in (
            ("a", "p", "one"),
            ("b", "p", "other"),
            ("c", "q", "one"),
            ("dd", "p", "one"),
            ("ee", "p", "other"),
            ("ff", "q", "one"),
        )
    ]
    assert [await call for call in calls] == [[1.0], [1.0], [1.0], [2.0], [2.0], [2.0]]
    assert sorted(stage.asked) == [["a", "dd"], ["b", "ee"], ["c", "ff"]]


async def test_the_request_says_the_size_where_the_samples_do_not() -> None:
    stage = Stage()
    front = assembly(stage)
    calls = [asyncio.create_task(asked(front, samples(response, prompt="p"), group_size=2)) for response in "ab"]
    assert [await call for call in calls] == [[1.0], [1.0]]
    assert stage.asked == [["a", "b"]]
    assert {sample.group_size for sample in stage.samples[0]} == {2}


async def test_where_nobody_says_a_calls_samples_of_one_prompt_are_the_group() -> None:
    stage = Stage()
    listed = [*samples("a", prompt="p"), *samples("b", prompt="q"), *samples("c", prompt="p")]
    assert await asked(assembly(stage), listed) == [1.0, 1.0, 1.0]
    assert stage.asked == [["a", "c", "b"]]
    ids = [sample.group_id for sample in stage.samples[0]]
    assert ids[0] == ids[1] != ids[2], "they stay together in batches"


async def test_groups_of_one_name_are_told_apart() -> None:
    stage = Stage()
    front = assembly(stage)
    for run in ("one", "other"):
        await asked(front, samples("a", "b", group_id="0", group_size=2), caller=run)
    assert len({sample.group_id for batch in stage.samples for sample in batch}) == 2


async def test_two_groups_of_one_prompt_in_one_call_are_two() -> None:
    stage = Stage()
    assert await asked(assembly(stage, group_size=2), samples("a", "b", "c", "d", prompt="p")) == [1.0] * 4
    ids = [sample.group_id for sample in stage.samples[0]]
    assert ids[0] == ids[1] != ids[2] == ids[3]


async def test_a_group_that_is_not_whole_in_time_fails_as_such() -> None:
    stage = Stage()
    front = assembly(stage, group_wait_s=0.0)
    [output] = await front.score(samples("a", group_id="g", group_size=3), Terms())
    assert output.failure is not None
    assert output.failure.kind == "invalid_input"
    assert "has 3, and 1 came together" in output.failure.message
    assert stage.asked == []
    assert front.open_count == 0


async def test_a_caller_that_leaves_takes_its_member_with_it() -> None:
    stage = Stage()
    front = assembly(stage, group_size=2)
    leaving = asyncio.create_task(asked(front, samples("gone", prompt="p")))
    await turns()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    calls = [asyncio.create_task(asked(front, samples(response, prompt="p"))) for response in ("a", "bb")]
    assert [await call for call in calls] == [[1.0], [2.0]]
    assert stage.asked == [["a", "bb"]]


async def test_a_member_whose_deadline_passes_fails_as_late_and_is_left_out() -> None:
    stage = Stage()
    front = assembly(stage, group_size=2)
    assert await asked(front, samples("late", prompt="p"), timeout_s=0.0) == ["timeout"]
    assert front.open_count == 0


async def test_one_request_may_hold_whole_groups_and_members_of_others() -> None:
    stage = Stage()
    front = assembly(stage)
    mixed = [
        *samples("a", group_id="g", group_size=2),
        *samples("bb", group_id="h", group_size=2),
        *samples("ccc", group_id="g", group_size=2),
    ]
    call = asyncio.create_task(asked(front, mixed))
    await turns()
    assert stage.asked == [["a", "ccc"]]
    assert await asked(front, samples("dddd", group_id="h", group_size=2)) == [4.0]
    assert await call == [1.0, 2.0, 3.0]


async def test_the_most_urgent_and_the_most_patient_member_speak_for_the_group() -> None:
    stage = Stage()
    front = assembly(stage, group_size=2)
    calls = [
        asyncio.create_task(asked(front, samples("a", prompt="p"), timeout_s=timeout_s, priority=priority))
        for timeout_s, priority in ((5.0, 2), (60.0, 0))
    ]
    await asyncio.gather(*calls)
    assert (stage.terms[0].timeout_s, stage.terms[0].priority) == (60.0, 0)


async def test_an_error_behind_is_every_members_failure() -> None:
    front = assembly(Stage(answer=lambda sample: ValueError("a bug")), group_size=2)
    calls = [asyncio.create_task(asked(front, samples("a", prompt="p"))) for _ in range(2)]
    assert [await call for call in calls] == [["error"], ["error"]]


async def test_closing_fails_those_whose_group_is_under_way() -> None:
    front = assembly(Stage(is_held=True), group_size=2)
    calls = [asyncio.create_task(asked(front, samples("a", prompt="p"))) for _ in range(2)]
    await turns()
    await front.close()
    assert [await call for call in calls] == [["cancelled"], ["cancelled"]]


async def test_a_member_that_was_lost_while_its_siblings_were_scored_is_not_to_be_asked_for_again() -> None:
    stage = Stage(answer=lambda sample: failed(FailureKind.UNAVAILABLE) if sample.response == "x" else 1.0)
    front = assembly(stage)
    assert await asked(front, samples("a", "x", group_id="g", group_size=2)) == [1.0, "error"]
    calls = [
        asyncio.create_task(asked(front, samples(response, group_id="g", group_size=2))) for response in ("a", "x")
    ]
    assert [await call for call in calls] == [[1.0], ["error"]]


async def test_a_group_that_nobody_answered_for_may_be_asked_for_again() -> None:
    stage = Stage(answer=lambda _: failed(FailureKind.UNAVAILABLE))
    assert await asked(assembly(stage), samples("a", "x", group_id="g")) == ["unavailable", "unavailable"]


async def test_twins_are_two_members() -> None:
    stage = Stage()
    front = assembly(stage, group_size=2)
    calls = [asyncio.create_task(asked(front, samples("a", prompt="p"))) for _ in range(2)]
    assert [await call for call in calls] == [[1.0], [1.0]]
    assert stage.asked == [["a", "a"]]
