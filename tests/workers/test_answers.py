from __future__ import annotations

import asyncio
import threading

from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.answers import Answers
from rayreward.workers.outcomes import Outcome, settled


def scores(outcomes: list[Outcome]) -> list[float | str | None]:
    return [outcome.score if isinstance(outcome, RewardOutput) else "late" for outcome in outcomes]


async def test_what_another_thread_finds_is_there_at_once_or_comes_later() -> None:
    answers, over = Answers(3), asyncio.Event()
    answers.answer(1, RewardOutput(1.0))
    outcomes = answers.outcomes(on_over=over.set)
    assert scores(outcomes) == ["late", 1.0, "late"]
    for position in (2, 0):
        thread = threading.Thread(target=answers.answer, args=(position, RewardOutput(float(position))))
        thread.start()
        thread.join()
    assert [output.score for output in await settled(outcomes)] == [0.0, 1.0, 2.0]
    await over.wait()


async def test_what_was_not_answered_gets_what_is_left_for_it_and_nothing_is_answered_twice() -> None:
    answers = Answers(2)
    outcomes = answers.outcomes(on_over=list)
    answers.answer(0, RewardOutput(1.0))
    answers.answer_rest(RewardOutput.failed(FailureKind.TIMEOUT, "late"))
    answers.answer(1, RewardOutput(2.0))
    assert [output.score for output in await settled(outcomes)] == [1.0, None]


async def test_when_all_are_given_up_it_is_told() -> None:
    answers, over = Answers(2), asyncio.Event()
    waiting = asyncio.create_task(settled(answers.outcomes(on_over=over.set)))
    await asyncio.sleep(0)
    waiting.cancel()
    await over.wait()
