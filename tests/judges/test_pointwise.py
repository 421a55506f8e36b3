"""What LLMJudge and RubricJudge share, seen through LLMJudge."""

from __future__ import annotations

import pickle
from math import log
from typing import Any

import pytest

from rayreward import RewardOutput, Sample
from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    InvalidInputError,
    ServiceUnavailableError,
)
from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.judge import LLMJudge
from rayreward.judges.scripted import Said, ScriptedEndpoint
from rayreward.router.facts import RewardFacts
from rayreward.spec import load_reward


def judge_of(*said: Said, **options: Any) -> tuple[LLMJudge, ScriptedEndpoint]:
    endpoint = ScriptedEndpoint(said)
    return LLMJudge("m", "Rate.", endpoint=endpoint, **options), endpoint


def kind(output: RewardOutput) -> str | None:
    return output.failure.kind.value if output.failure else None


class TestUnreadableReplies:
    async def test_are_asked_for_again_with_what_was_wrong(self) -> None:
        judge, endpoint = judge_of("I like it.", "Score: 11", "Score: 10")
        [output] = await judge.ascore([Sample(response="a")])
        assert output.score == 1.0
        assert output.metadata["judge_requests"] == 3
        roles = [[message["role"] for message in question.messages] for question in endpoint.asked]
        assert roles == [["user"], ["user", "assistant", "user"], ["user", "assistant", "user"]]
        assert "no 'Score: N' in the reply" in endpoint.asked[1].messages[2]["content"]
        assert endpoint.asked[2].messages[1]["content"] == "Score: 11"
        assert "11 is not between 1 and 10. End your reply with" in endpoint.asked[2].messages[2]["content"]

    async def test_end_as_unparseable_after_two_corrections_and_never_as_a_middle_score(self) -> None:
        judge, endpoint = judge_of("?", "??", "???", "Score: 10")
        [output] = await judge.ascore([Sample(response="a")])
        assert (output.score, kind(output)) == (None, "unparseable")
        assert "(3 tries)" in str(output.failure)
        assert len(endpoint.asked) == 3
        assert output.metadata["completion_tokens"] == 3

    async def test_may_be_final(self) -> None:
        judge, endpoint = judge_of("?", "Score: 10", max_corrections=0)
        assert kind((await judge.ascore([Sample(response="a")]))[0]) == "unparseable"
        assert len(endpoint.asked) == 1

    async def test_of_any_length_do_not_make_the_next_question_endless(self) -> None:
        judge, endpoint = judge_of("word " * 100_000, "Score: 1")
        await judge.ascore([Sample(response="a")])
        assert sum(len(message["content"]) for message in endpoint.asked[1].messages) < 10_000


def test_a_model_of_its_own_that_is_lost_is_its_own_condition() -> None:
    judge, endpoint = judge_of("Score: 1")
    assert judge.serving_condition.lost is None
    endpoint.lost = "the engine has died"
    assert judge.serving_condition.lost == "the engine has died"


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (
            AuthenticationError("the key in OPENAI_API_KEY is refused"),
            "unavailable: the key in OPENAI_API_KEY is refused",
        ),
        (BackpressureError("slow down"), "rejected: slow down"),
        (ServiceUnavailableError("down"), "unavailable: down"),
        (InvalidInputError("too long"), "invalid_input: too long"),
        (TimeoutError("late"), "timeout: late"),
        (ValueError("a bug of an endpoint"), "error: ValueError: a bug of an endpoint"),
    ],
)
async def test_an_endpoints_error_is_its_samples_own(raised: Exception, failure: str) -> None:
    judge, _ = judge_of(raised, "Score: 10")
    bad, good = await judge.ascore([Sample(response="a"), Sample(response="b")])
    assert str(bad.failure).startswith(failure)
    assert good.score == 1.0
    assert bad.metadata["judge_model"] == "m"


class TestVerdictKinds:
    async def test_json_asks_for_a_schema(self) -> None:
        judge, endpoint = judge_of('{"reason": "fine", "score": 5.5}', verdict="json")
        [output] = await judge.ascore([Sample(response="a")])
        assert (output.score, output.reason) == (0.5, "fine")
        schema = endpoint.asked[0].json_schema
        assert schema is not None
        assert schema["required"] == ["reason", "score"]

    async def test_logprobs_give_the_expectation_and_how_sure_it_is(self) -> None:
        judge, endpoint = judge_of(Reply("4", {"4": log(0.6), "5": log(0.2), "I": log(0.2)}), verdict="logprobs")
        [output] = await judge.ascore([Sample(response="a")])
        assert output.score == pytest.approx((4.25 - 1) / 4)
        assert output.metadata["score_mass"] == pytest.approx(0.8)
        assert (endpoint.asked[0].choices, endpoint.asked[0].max_tokens) == (("1", "2", "3", "4", "5"), 1)

    async def test_logprobs_without_mass_have_no_verdict(self) -> None:
        unsure = Reply("I", {"4": log(0.1), "I": log(0.9)})
        judge, _ = judge_of(unsure, unsure, unsure, verdict="logprobs")
        assert kind((await judge.ascore([Sample(response="a")]))[0]) == "unparseable"

    async def test_a_yes_has_its_probability(self) -> None:
        judge, endpoint = judge_of(Reply("Yes", {"Yes": log(0.6), "No": log(0.2)}), verdict="yes_no")
        [output] = await judge.ascore([Sample(response="a")])
        assert output.score == pytest.approx(0.75)
        assert endpoint.asked[0].choices == ("Yes", "No")

    async def test_scales_are_mapped_to_the_unit(self) -> None:
        judge, endpoint = judge_of("Score: 0", "Score: 100", "Score: 25", scale=(0, 100))
        outputs = await judge.ascore([Sample(response=text) for text in "abc"])
        assert [output.score for output in outputs] == [0.0, 1.0, 0.25]
        assert "from 0 (worst) to 100 (best)" in endpoint.asked[0].messages[0]["content"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"verdict": "vibes"}, "known are 'text', 'json', 'logprobs', 'yes_no'"),
            ({"verdict": "logprobs", "scale": (1, 10)}, "whole numbers of one digit"),
            ({"verdict": "logprobs", "scale": (0.5, 3)}, "whole numbers"),
            ({"samples": 0}, "1 or more"), ({"samples": True}, "1 or more"),
            ({"aggregate": "max"}, "'mean' and 'median'"),
            ({"samples": 3, "temperature": 0}, "the same verdict each time"),
            ({"samples": 3, "verdict": "logprobs"}, "the same verdict each time"),
            ({"scale": (10, 1)}, "from its worst to its best"), ({"budget_usd": 1.0}, "needs prices"),
            ({"max_concurrncy": 3}, "did you mean 'max_concurrency'"), ({"timeout_s": 3}, "takes no timeout_s"),
            ({"model_path": "m"}, "takes no model_path"),
            ({"endpoint": None, "model_path": "m", "max_tries": 2}, "max_tries"),
            ({"endpoint": None, "model_path": "m", "vllm": {"runner": "pooling"}}, "sets runner itself"),
            ({"prices": {"promt": 1.0}}, "prompt, completion and cached"),
        ],
    )  # fmt: skip
    def test_what_cannot_work_is_refused_when_it_is_made(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            LLMJudge("m", "Rate.", **{"endpoint": ScriptedEndpoint([]), **options})


class TestSeveralVerdicts:
    async def test_are_averaged_and_their_spread_is_a_component_without_weight(self) -> None:
        judge, endpoint = judge_of("Score: 10", "Score: 1", "Score: 10", samples=3, seed=5)
        [output] = await judge.ascore([Sample(response="a")])
        assert output.score == pytest.approx(2 / 3)
        assert output.metrics["spread"].score == pytest.approx((2 / 9) ** 0.5)
        assert output.metrics["spread"].weight == 0
        assert output.metadata["verdicts"] == [10, 1, 10]
        assert [(question.seed, question.temperature) for question in endpoint.asked] == [(5, 0.7), (6, 0.7), (7, 0.7)]

    async def test_may_take_their_median(self) -> None:
        judge, _ = judge_of("Score: 10", "Score: 1", "Score: 10", samples=3, aggregate="median")
        assert (await judge.ascore([Sample(response="a")]))[0].score == 1.0

    async def test_half_of_them_must_be_readable(self) -> None:
        judge, _ = judge_of("Score: 10", "?", "?", "Score: 10", samples=4, max_corrections=0)
        [output] = await judge.ascore([Sample(response="a")])
        assert (output.score, output.metadata["unreadable_verdicts"]) == (1.0, 2)
        judge, _ = judge_of("Score: 10", "?", "?", samples=3, max_corrections=0)
        assert kind((await judge.ascore([Sample(response="a")]))[0]) == "unparseable"

    async def test_a_lost_endpoint_is_told_before_an_unreadable_reply(self) -> None:
        judge, _ = judge_of("?", ServiceUnavailableError("down"), samples=2, max_corrections=0)
        assert kind((await judge.ascore([Sample(response="a")]))[0]) == "unavailable"

    async def test_are_asked_for_each_time(self) -> None:
        judge, endpoint = judge_of(*["Score: 10"] * 4, samples=2)
        for _ in range(2):
            await judge.ascore([Sample(response="a")])
        assert len(endpoint.asked) == 4
        assert not judge.deterministic


class TestCache:
    async def test_the_same_question_is_asked_once_and_paid_once(self) -> None:
        judge, endpoint = judge_of("Score: 10", "Score: 1")
        same = Sample(prompt="q", response="a")
        outputs = await judge.ascore([same, Sample(prompt="q", response="b"), same, Sample(prompt="q", response="a")])
        again = await judge.ascore([same])
        assert [output.score for output in [*outputs, *again]] == [1.0, 0.0, 1.0, 1.0, 1.0]
        assert len(endpoint.asked) == 2
        assert [output.metadata["judge_requests"] for output in [*outputs, *again]] == [1, 1, 0, 0, 0]
        assert again[0].metadata["is_cached"]

    async def test_failures_are_not_remembered(self) -> None:
        judge, _ = judge_of(ServiceUnavailableError("down"), "Score: 10")
        assert kind((await judge.ascore([Sample(response="a")]))[0]) == "unavailable"
        assert (await judge.ascore([Sample(response="a")]))[0].score == 1.0

    async def test_a_picture_is_refused_though_its_text_is_known(self) -> None:
        judge, _ = judge_of("Score: 10")
        parts = [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": "x"}}]
        pictured = Sample([{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}])
        plain, refused = await judge.ascore([Sample(prompt="q", response="a"), pictured])
        assert (plain.score, kind(refused)) == (1.0, "invalid_input")

    def test_the_router_may_reuse_its_verdicts_though_it_runs_inline(self) -> None:
        judge, _ = judge_of()
        assert RewardFacts.of(judge, "v").is_reusable
        assert not RewardFacts.of(judge_of(samples=2)[0], "v").is_reusable


class TestMoney:
    PRICES = {"prompt": 1000.0, "completion": 2000.0, "cached": 100.0}  # noqa: RUF012 - read only

    async def test_each_output_says_what_it_has_cost(self) -> None:
        reply = Reply("Score: 10", prompt_tokens=100, cached_tokens=60, completion_tokens=4)
        judge, _ = judge_of(reply, prices=self.PRICES)
        [output] = await judge.ascore([Sample(response="a", metadata={"run": "run-1"})])
        assert output.metadata["cost_usd"] == pytest.approx(0.04 + 0.006 + 0.008)
        spent = judge.endpoint.ledger.spent("run-1")
        assert (spent.usd, spent.usage.requests) == (pytest.approx(0.054), 1)

    async def test_a_run_over_its_budget_is_rejected_by_name_and_others_go_on(self) -> None:
        reply = Reply("Score: 10", prompt_tokens=300, completion_tokens=10)
        judge, endpoint = judge_of(*[reply] * 9, budget_tokens=1800, max_tokens=100)
        samples = [Sample(response=str(number), metadata={"run": "a"}) for number in range(6)]
        outputs = [(await judge.ascore([sample]))[0] for sample in samples]
        assert [kind(output) for output in outputs] == [None] * 5 + ["rejected"]
        assert "run 'a' has spent 1550 of budget_tokens=1800" in str(outputs[-1].failure)
        assert judge.endpoint.ledger.spent("a").usage.tokens <= 1800
        [other] = await judge.ascore([Sample(response="9", metadata={"run": "b"})])
        assert other.score == 1.0
        assert len(endpoint.asked) == 6

    async def test_corrections_are_paid_for_too(self) -> None:
        judge, _ = judge_of("?", "Score: 10", prices=self.PRICES)
        [output] = await judge.ascore([Sample(response="a")])
        assert output.metadata["cost_usd"] == pytest.approx(judge.endpoint.ledger.spent("").usd)
        assert output.metadata["judge_requests"] == 2


class TestVersions:
    def test_what_is_asked_makes_the_version_and_how_it_is_asked_does_not(self) -> None:
        plain = LLMJudge("m", "Rate.")
        same = LLMJudge("m", "Rate.", "key", requests_per_minute=5, max_concurrency=3, budget_tokens=9, timeout_s=5)
        assert (same.version, same.rubric_hash) == (plain.version, plain.rubric_hash)
        others = [
            LLMJudge("m", "Rate it."), LLMJudge("m", "Rate.", verdict="json"), LLMJudge("m", "Rate.", scale=(1, 5)),
            LLMJudge("m", "Rate.", samples=3), LLMJudge("n", "Rate."),
        ]  # fmt: skip
        assert len({judge.version for judge in [plain, *others]}) == 6

    async def test_outputs_say_whose_they_are(self) -> None:
        judge, _ = judge_of("Score: 10")
        [output] = await judge.ascore([Sample(response="a <|im_end|>")])
        assert output.metadata["rubric_hash"] == judge.rubric_hash
        assert output.metadata["injection_signals"] == ["special_token"]

    def test_a_judge_travels_without_its_connections(self) -> None:
        judge = LLMJudge("m", "Rate.", "key", base_url="http://judge/v1")
        assert pickle.loads(pickle.dumps(judge)).version == judge.version

    def test_yaml_has_the_same_settings(self) -> None:
        settings = {"judge_model": "m", "prompt_template": "Rate.", "scale": [1, 5], "requests_per_minute": 60}
        reward = load_reward("llm_judge", {**settings, "prices": {"prompt": 1.0}, "budget_usd": 2.0, "timeout_s": 7})
        assert isinstance(reward, LLMJudge)
        assert (reward.scale.high, reward.timeout_s, reward.endpoint.ledger.budget.usd) == (5, 7, 2.0)


async def test_prompts_come_before_responses_so_that_siblings_share_a_prefix() -> None:
    judge, endpoint = judge_of("Score: 1", "Score: 1")
    await judge.ascore([Sample(prompt="q" * 500, response=text) for text in ("first", "second")])
    first, second = (question.messages[0]["content"] for question in endpoint.asked)
    shared = next(at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert "q" * 500 in first[:shared]
    assert shared > len(first) - 150


async def test_a_question_carries_no_run_where_the_sample_has_none() -> None:
    asked: list[Question] = []

    def remember(question: Question) -> str:
        asked.append(question)
        return "Score: 1"

    judge = LLMJudge("m", "Rate.", endpoint=ScriptedEndpoint(remember))
    await judge.ascore([Sample(response="a"), Sample(response="b", metadata={"run": 5})])
    assert [question.run for question in asked] == ["", ""]
