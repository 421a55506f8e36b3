"""Where an episode's reward comes from, in OpenRLHF's real loop."""

from __future__ import annotations

import math

import pytest

from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import FailureKind
from tests.agents.episodes import executor, only_failure
from tests.agents.fakes import Engine, FakeScorer, generate_responses, in_turns

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


class TestRewards:
    async def test_step_scores_every_turn_and_sums(self) -> None:
        scorer = FakeScorer(lambda sample: float(sample.response) + sample.metadata["turn_count"])
        [response] = await generate_responses(executor("Guess", scorer, rewards="step"), in_turns("3", "4"), "p", "4")
        assert [call[0].text for call in scorer.calls] == ["p3", "p3 no: 4"]
        assert (response["reward"], response["scores"]) == (4.0 + 6.0, 10.0)

    async def test_step_has_no_filter_score_where_a_turn_was_dropped(self) -> None:
        scorer = FakeScorer(
            lambda sample: TrainerAnswer.filled(0.5, drop=True) if sample.response == "3" else TrainerAnswer(1, 1, True)
        )
        [response] = await generate_responses(executor("Guess", scorer, rewards="step"), in_turns("3", "4"), "p", "4")
        assert response["reward"] == 1.5
        assert math.isnan(response["scores"])
        assert response["extra_logs"]["reward_valid"] == 0.0

    async def test_step_fills_the_turn_that_failed(self) -> None:
        scorer = FakeScorer()
        await generate_responses(executor("Rude", scorer, rewards="step"), in_turns("x"), "p", "step raises")
        assert (scorer.calls, only_failure(scorer).kind) == ([], FailureKind.ERROR)

    async def test_environment_sums_what_the_turns_give_and_asks_nobody(self) -> None:
        scorer = FakeScorer()
        runner = executor("Guess", scorer, rewards="environment")
        [response] = await generate_responses(runner, in_turns("3", "4"), "p", "4")
        assert (response["reward"], response["scores"], response["extra_logs"]["reward_valid"]) == (1.0, 1.0, 1.0)
        assert (scorer.calls, scorer.failed) == ([], [])

    async def test_what_an_environment_gives_is_told_to_the_router_beside_its_failures(self) -> None:
        scorer = FakeScorer()
        said = iter(["wrong", "3", "4"])
        runner = executor("Graded", scorer, rewards="environment", max_turns=1)
        responses = await generate_responses(runner, Engine(lambda _: next(said)), "p", "", count=3)
        assert [response["reward"] for response in responses] == [scorer.fills, 3.0, 4.0]
        assert [response["extra_logs"]["reward_valid"] for response in responses] == [0.0, 1.0, 1.0]
        assert [score for _, score in scorer.noted] == [3.0, 4.0]
        [(failed, _)] = scorer.failed
        assert {failed.group_id} == {sample.group_id for sample, _ in scorer.noted}
        assert failed.group_size == 3

    async def test_environment_without_a_reward_is_a_failure_and_no_zero(self) -> None:
        scorer = FakeScorer()
        [response] = await generate_responses(
            executor("Silent", scorer, rewards="environment"), in_turns("x"), "p", "4"
        )
        assert response["reward"] == 0.25
        assert only_failure(scorer).kind is FailureKind.INVALID_OUTPUT
        assert "none of its turns gave one" in only_failure(scorer).message


class TestGroups:
    async def test_every_sample_says_of_how_many_it_is_one(self) -> None:
        scorer = FakeScorer()
        said = iter(["right", "wrong", "right"])
        await generate_responses(executor("Picky", scorer), Engine(lambda _: next(said)), "p", "1", count=3)
        samples = [*(sample for call in scorer.calls for sample in call), *(sample for sample, _ in scorer.failed)]
        assert [(sample.group_id, sample.group_size) for sample in samples] == [(samples[0].group_id, 3)] * 3

    async def test_the_episodes_of_a_prompt_are_scored_in_one_call(self) -> None:
        scorer = FakeScorer(lambda sample: float(sample.metadata["turn_count"]))
        begun = iter("4567")  # the first is right at once, the others later

        def says(context: str) -> str:
            return next(begun) if context == "p" else "4"

        runner = executor("Guess", scorer, group=True)
        responses = await generate_responses(runner, Engine(says), "p", "4", count=4)
        [samples] = scorer.calls
        assert [sample.group_size for sample in samples] == [4, 4, 4, 4]
        assert len({sample.group_id for sample in samples}) == 1
        assert [response["reward"] for response in responses] == [1.0, 2.0, 2.0, 2.0]

    async def test_a_failed_episode_holds_up_nobody(self) -> None:
        scorer = FakeScorer()
        said = iter(["right", "wrong", "right"])
        runner = executor("Picky", scorer, group=True)
        responses = await generate_responses(runner, Engine(lambda _: next(said)), "p", "1", count=3)
        [samples] = scorer.calls
        assert [sample.group_size for sample in samples] == [2, 2]
        assert [one["extra_logs"]["reward_valid"] for one in responses].count(0.0) == 1
