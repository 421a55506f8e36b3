"""Group rewards through the whole service, from traffic that does not speak of groups: real door, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rayreward import RewardFunction, Sample
from rayreward.errors import ServiceUnavailableError
from rayreward.judges.endpoint import Question
from rayreward.judges.scripted import ScriptedEndpoint
from rayreward.rewards import ListwiseJudge, PairwiseJudge
from rayreward.router.config import OpenRLHFPolicy
from rayreward.router.lane_policy import LanePolicy
from rayreward.testing import served
from rayreward.trainers.trl import TrlReward
from tests.judges.comparing import prefers, scores_by
from tests.router.stages import said, turns

FOUR = LanePolicy(group_size=4, group_wait_s=30.0)
HASTY = LanePolicy(group_size=4, group_wait_s=0.05)
POLICY = OpenRLHFPolicy(sibling_wait_s=0.05, answer_within_s=2.0)


def worth(text: str) -> float:
    return len(text) / 10


def pairwise(answer: Callable[[Question], Any] | None = None) -> PairwiseJudge:
    return PairwiseJudge("tiny", endpoint=ScriptedEndpoint(answer or prefers(worth)))


def listwise(answer: Callable[[Question], Any] | None = None) -> ListwiseJudge:
    return ListwiseJudge("tiny", endpoint=ScriptedEndpoint(answer or scores_by(worth)))


async def ask(service: served, prompt: str, response: str, run: str = "ppo") -> dict[str, Any]:
    """One request, as OpenRLHF's rollout workers send them: one query, no word of a group."""
    body = {"query": [prompt + response], "prompts": [prompt], "labels": [""]}
    answer = await service.http.post("/get_reward", params={"run": run}, json=body)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def ask_all(service: served, prompt: str, *responses: str) -> tuple[list[float], list[float]]:
    """Rewards, and whether each is valid."""
    answers = await asyncio.gather(*(ask(service, prompt, response) for response in responses))
    return [one["rewards"][0] for one in answers], [one["extra_logs"]["reward_valid"][0] for one in answers]


@pytest.mark.parametrize("reward", [pairwise(), listwise()], ids=["pairwise", "listwise"])
async def test_single_requests_of_a_prompt_are_ranked_as_a_group(reward: RewardFunction) -> None:
    async with served({"judge": reward}, policy=FOUR) as service:
        first, second = await asyncio.gather(
            ask_all(service, "p? ", "a", "aaaa", "aa", "aaa"), ask_all(service, "q? ", "bb", "b", "bbbb", "bbb")
        )
        for rewards, valid in (first, second):
            assert valid == [1.0] * 4
            assert len(set(rewards)) == 4
        assert sorted(range(4), key=first[0].__getitem__) == [0, 2, 3, 1]
        assert sorted(range(4), key=second[0].__getitem__) == [1, 0, 3, 2]


async def test_twins_of_a_group_score_the_same() -> None:
    async with served({"judge": pairwise()}, policy=FOUR) as service:
        rewards, valid = await ask_all(service, "p? ", "a", "aaa", "a", "a")
        assert valid == [1.0] * 4
        assert rewards[0] == rewards[2] == rewards[3] < rewards[1]


async def test_where_a_sibling_never_comes_the_others_get_the_runs_mean_and_are_not_valid() -> None:
    async with served({"judge": listwise()}, policy=HASTY, openrlhf=POLICY) as service:
        scored, _ = await ask_all(service, "p? ", "a", "aa", "aaa", "aaaa")
        rewards, valid = await ask_all(service, "q? ", "b", "bb", "bbb")
        assert valid == [0.0] * 3
        assert rewards == pytest.approx([sum(scored) / 4] * 3)
        [stats] = service.router.stats().lanes
        assert stats.open_group_count == 0


async def test_a_request_that_is_lost_may_come_again_and_the_group_is_whole() -> None:
    async with served({"judge": listwise()}, policy=FOUR) as service:
        lost = asyncio.create_task(ask(service, "p? ", "a"))
        others = asyncio.create_task(ask_all(service, "p? ", "aa", "aaa"))
        await turns(50)
        lost.cancel()
        await turns(50)
        rewards, valid = await ask_all(service, "p? ", "a", "aaaa")
        assert (rewards, valid) == (pytest.approx([0.1, 0.4]), [1.0, 1.0])
        assert await others == (pytest.approx([0.2, 0.3]), [1.0, 1.0])


async def test_a_judge_that_is_gone_gives_numbers_that_are_not_valid_and_never_zero() -> None:
    is_gone = False

    def answer(question: Question) -> Any:
        return ServiceUnavailableError("gone") if is_gone else scores_by(worth)(question)

    async with served({"judge": listwise(answer)}, policy=FOUR, openrlhf=POLICY) as service:
        scored, _ = await ask_all(service, "p? ", "a", "aa", "aaa", "aaaa")
        is_gone = True
        rewards, valid = await ask_all(service, "q? ", "b", "bb", "bbb", "bbbb")
        assert valid == [0.0] * 4
        assert rewards == pytest.approx([sum(scored) / 4] * 4)


async def test_a_judge_that_comes_back_in_time_scores_the_whole_group() -> None:
    lost = [ServiceUnavailableError("gone")]

    def answer(question: Question) -> Any:
        return lost.pop() if lost else scores_by(worth)(question)

    policy = OpenRLHFPolicy(sibling_wait_s=0.05, answer_within_s=30.0)
    async with served({"judge": listwise(answer)}, policy=FOUR, openrlhf=policy) as service:
        assert await ask_all(service, "p? ", "a", "aa", "aaa", "aaaa") == (
            pytest.approx([0.1, 0.2, 0.3, 0.4]),
            [1.0] * 4,
        )


async def test_a_candidate_that_the_judge_forgets_gets_its_siblings_mean() -> None:
    def forgetful(question: Question) -> str:
        return scores_by(lambda text: 7.0 if text == "aaaa" else worth(text))(question)

    async with served({"judge": listwise(forgetful)}, policy=FOUR, openrlhf=POLICY) as service:
        rewards, valid = await ask_all(service, "p? ", "a", "aa", "aaa", "aaaa")
        assert valid == [1.0, 1.0, 1.0, 0.0]
        assert rewards == pytest.approx([0.1, 0.2, 0.3, 0.2])


async def test_a_member_whose_comparisons_failed_is_answered_at_once() -> None:
    """It is not asked for again: its siblings have their scores, and it would wait for them in vain."""

    def answer(question: Question) -> Any:
        text = question.messages[-1]["content"]
        return ServiceUnavailableError("gone") if "xxxx" in text else prefers(worth)(question)

    policy = OpenRLHFPolicy(sibling_wait_s=0.05, answer_within_s=120.0)
    async with served({"judge": pairwise(answer)}, policy=FOUR, openrlhf=policy) as service:
        async with asyncio.timeout(20):
            rewards, valid = await ask_all(service, "p? ", "a", "aa", "aaa", "xxxx")
        assert valid == [1.0, 1.0, 1.0, 0.0]
        assert rewards[3] == pytest.approx(sum(rewards[:3]) / 3)


async def test_native_callers_name_the_group_and_come_one_by_one_or_together() -> None:
    async with served({"judge": listwise()}) as service:
        group = [Sample(prompt="p", response="a" * size, group_id="g", group_size=3) for size in (1, 2, 3)]
        [together] = await asyncio.gather(service.client.ascore(group))
        assert [output.score for output in together] == pytest.approx([0.1, 0.2, 0.3])
        alone = await asyncio.gather(*(service.client.ascore([sample]) for sample in group))
        assert [output.score for [output] in alone] == pytest.approx([0.1, 0.2, 0.3])


async def test_a_native_callers_group_that_stays_open_has_no_scores() -> None:
    async with served({"judge": listwise()}, policy=HASTY) as service:
        outputs = await service.client.ascore([Sample(response="a", group_id="g", group_size=2)])
        assert said(outputs) == ["invalid_input"]


def test_trls_siblings_are_a_group() -> None:
    reward = listwise().get_trl_adapter()
    assert isinstance(reward, TrlReward)
    prompts, completions = ["p", "q", "p", "q"], ["a", "bbb", "aaa", "b"]
    assert reward(prompts=prompts, completions=completions) == pytest.approx([0.1, 0.3, 0.3, 0.1])


def test_a_forgotten_completion_is_none_for_trl() -> None:
    endpoint = ScriptedEndpoint(scores_by(lambda text: 7.0 if text == "x" else worth(text)))
    reward = ListwiseJudge("tiny", endpoint=endpoint).get_trl_adapter()
    assert reward(prompts=["p", "p"], completions=["aa", "x"]) == [pytest.approx(0.2), None]


async def test_a_group_size_in_the_address_serves_trainings_that_differ() -> None:
    async with served({"judge": listwise()}) as service:

        async def pair(run: str, size: int) -> list[float]:
            def one(length: int) -> Any:
                body = {"query": ["p? " + "a" * length], "prompts": ["p? "], "labels": [""]}
                return service.http.post("/get_reward", params={"run": run, "group_size": size}, json=body)

            answers: list[httpx.Response] = await asyncio.gather(*map(one, range(1, size + 1)))
            return [answer.json()["rewards"][0] for answer in answers]

        assert await asyncio.gather(pair("two", 2), pair("three", 3)) == [
            pytest.approx([0.1, 0.2]),
            pytest.approx([0.1, 0.2, 0.3]),
        ]
