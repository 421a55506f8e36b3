from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Sequence
from typing import Any

import cloudpickle
import pytest

from rayreward import RewardFunction, RewardOutput, Sample, reward_function
from rayreward.errors import AuthenticationError, ConfigError, DeadlineError, InvalidInputError, ServiceUnavailableError
from rayreward.messages import Message
from rayreward.sample import Trajectory
from rayreward.types import FailureKind

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]


def length(response: str) -> float:
    """The response's length.

    In characters.
    """
    return float(len(response))


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def scores(outputs: Sequence[RewardOutput]) -> list[float | None]:
    return [output.score for output in outputs]


def kinds(outputs: Sequence[RewardOutput]) -> list[str | None]:
    return [output.failure.kind.value if output.failure else None for output in outputs]


class TestFromAFunction:
    def test_called_with_messages_it_gives_score_and_components(self) -> None:
        def reward(
            messages: list[Message], original_messages: list[Message], **kwargs: Any
        ) -> tuple[float, dict[str, float]]:
            return float(messages[-1].content == "4"), {"turns": len(original_messages)}

        score, components = RewardFunction(func=reward)(messages=CHAT)
        assert (score, components["turns"].score) == (1.0, 1.0)

    def test_original_messages_go_in_front_where_they_are_not_there_yet(self) -> None:
        reward = RewardFunction(func=lambda messages, original_messages: len(messages) * 10 + len(original_messages))
        assert reward(messages=CHAT, original_messages=CHAT[:1]).score == 21.0
        assert reward(messages=CHAT[1:], original_messages=CHAT[:1]).score == 21.0

    def test_further_keywords_become_columns(self) -> None:
        reward = RewardFunction(func=lambda response, label, level: float(response == label) + level)
        assert reward(response="4", label="4", level=2).score == 3.0
        assert reward(response="4", ground_truth="4", metadata={"level": 1}).score == 2.0

    def test_takes_a_chat_or_a_response_but_not_both(self) -> None:
        reward = RewardFunction(func=length)
        for fields in ({}, {"messages": CHAT, "response": "4"}, {"prompt": "2 + 2?"}):
            with pytest.raises(InvalidInputError):
                reward(**fields)

    def test_configured_arguments_reach_every_call(self) -> None:
        reward = RewardFunction(func=lambda response, factor: len(response) * factor, factor=3)
        assert scores(reward.score(samples("a", "bb"))) == [3.0, 6.0]

    def test_a_batch_function_is_called_once(self) -> None:
        calls = []

        def reward(responses: list[str]) -> list[float]:
            calls.append(len(responses))
            return [float(len(response)) for response in responses]

        assert scores(RewardFunction(func=reward).score(samples("a", "bb", "ccc"))) == [1.0, 2.0, 3.0]
        assert calls == [3]

    def test_describes_itself_by_the_authors_first_line(self) -> None:
        assert RewardFunction(func=length).description == "The response's length."
        assert RewardFunction(func=lambda response: 1.0).description is None

    def test_of_no_samples_is_nothing(self) -> None:
        assert RewardFunction(func=length).score([]) == []


class TestWhatBreaks:
    def test_one_sample_that_raises_costs_itself_alone(self) -> None:
        def reward(response: str) -> float:
            return 1 / len(response)

        outputs = RewardFunction(func=reward).score(samples("a", "", "bb"))
        assert scores(outputs) == [1.0, None, 0.5]
        assert outputs[1].failure is not None
        assert outputs[1].failure.message.startswith("ZeroDivisionError: division by zero (test_function.py:")

    @pytest.mark.parametrize(
        "value", [math.nan, "high", [1.0], 10**400, {"no": "score"}, {"score": 1.0, "metadata": 3}]
    )
    def test_what_is_no_score_is_an_invalid_output(self, value: Any) -> None:
        outputs = RewardFunction(func=lambda response: value if response == "bad" else 1.0).score(
            samples("a", "bad", "b")
        )
        assert kinds(outputs) == [None, "invalid_output", None]

    def test_a_reward_that_ends_the_process_ends_only_its_sample(self) -> None:
        def reward(response: str) -> float:
            if response == "bad":
                sys.exit("usage")
            return 1.0

        assert kinds(RewardFunction(func=reward).score(samples("bad", "a"))) == ["error", None]

    def test_a_batch_that_raises_is_halved_until_the_bad_sample_is_alone(self) -> None:
        def reward(responses: list[str]) -> list[float]:
            if "bad" in responses:
                raise ValueError("bad")
            return [float(len(response)) for response in responses]

        outputs = RewardFunction(func=reward).score(samples("a", "bb", "bad", "ccc", "dddd"))
        assert scores(outputs) == [1.0, 2.0, None, 3.0, 4.0]

    def test_a_batch_with_too_few_values_fails_as_a_whole(self) -> None:
        outputs = RewardFunction(func=lambda responses: [1.0]).score(samples("a", "b"))
        assert kinds(outputs) == ["invalid_output"] * 2

    def test_a_missing_column_is_an_invalid_input(self) -> None:
        assert kinds(RewardFunction(func=lambda response, answer: 1.0).score(samples("a"))) == ["invalid_input"]

    def test_an_authors_timeout_keeps_its_own_words(self) -> None:
        def reward(response: str) -> float:
            raise TimeoutError("sandbox: 3 s")

        [output] = RewardFunction(func=reward).score(samples("a"))
        assert output.failure is not None
        assert (output.failure.kind, output.failure.message) == (FailureKind.TIMEOUT, "sandbox: 3 s")


class TestAsync:
    def test_samples_are_scored_at_once(self) -> None:
        under_way = 0
        all_here = asyncio.Event()

        async def reward(response: str) -> float:
            nonlocal under_way
            under_way += 1
            if under_way == 3:
                all_here.set()
            await all_here.wait()
            return float(len(response))

        assert scores(RewardFunction(func=reward).score(samples("a", "bb", "ccc"))) == [1.0, 2.0, 3.0]

    def test_one_that_hangs_costs_itself_alone(self) -> None:
        async def reward(response: str) -> float:
            if response == "hang":
                await asyncio.Event().wait()
            return 1.0

        outputs = RewardFunction(func=reward, timeout_s=0.01).score(samples("a", "hang", "b"))
        assert kinds(outputs) == [None, "timeout", None]
        assert outputs[1].failure is not None
        assert outputs[1].failure.message == "no answer within 0.01 s"

    def test_an_authors_cancelled_task_is_a_failure(self) -> None:
        async def reward(response: str) -> float:
            if response == "bad":
                raise asyncio.CancelledError
            return 1.0

        assert kinds(RewardFunction(func=reward).score(samples("bad", "a"))) == ["cancelled", None]

    async def test_its_callers_cancellation_is_passed_on(self) -> None:
        started = asyncio.Event()

        async def reward(response: str) -> float:
            started.set()
            await asyncio.Event().wait()
            return 1.0

        for mode in ("pointwise", "batch"):
            started.clear()
            function = reward_function(mode=mode)(reward) if mode == "pointwise" else _batch_of(reward)
            task = asyncio.create_task(RewardFunction(func=function).ascore(samples("a")))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_a_sync_reward_may_be_called_inside_a_loop(self) -> None:
        assert RewardFunction(func=length)(response="four").score == 4.0

    def test_a_sync_function_may_return_an_awaitable(self) -> None:
        async def later(response: str) -> float:
            return 2.0

        assert RewardFunction(func=lambda response: later(response))(response="a").score == 2.0


def _batch_of(reward: Any) -> Any:
    async def batch(responses: list[str]) -> list[float]:
        return [await reward(response) for response in responses]

    return batch


class TestWhereItRuns:
    def test_a_sync_reward_runs_on_its_callers_thread(self) -> None:
        reward = RewardFunction(func=lambda response: float(threading.current_thread() is threading.main_thread()))
        assert reward(response="a").score == 1.0

    def test_rewards_may_call_each_other(self) -> None:
        inner = RewardFunction(func=length)
        middle = RewardFunction(func=lambda messages, **kwargs: inner(messages=messages).score)
        outer = RewardFunction(func=lambda messages, **kwargs: middle(messages=messages).score)
        assert outer(messages=CHAT).score == 1.0

    def test_two_threads_score_side_by_side(self) -> None:
        both = threading.Barrier(2, timeout=30)
        reward = RewardFunction(func=lambda response: float(both.wait() >= 0))
        results: list[float | None] = []
        threads = [threading.Thread(target=lambda: results.append(reward(response="a").score)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [1.0, 1.0]


class TestSubclass:
    class Exact(RewardFunction):
        def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
            return RewardOutput(
                reward=float(trajectory.response == trajectory.label), metadata={"seen": trajectory.prompt}
            )

    def test_needs_no_init_of_its_own(self) -> None:
        assert self.Exact()(prompt="2 + 2?", response="4", label="4").metadata == {"seen": "2 + 2?"}
        assert self.Exact(name="exact", timeout_s=3).timeout_s == 3
        with pytest.raises(ConfigError, match="takes no argument 'tolerance'"):
            self.Exact(tolerance=1)

    def test_may_have_one_that_never_calls_super(self) -> None:
        class Near(RewardFunction):
            def __init__(self, tolerance: float) -> None:
                self.tolerance = tolerance

            async def compute_reward(self, trajectory: Trajectory) -> float:
                return float(abs(float(trajectory.response) - trajectory.label) <= self.tolerance)

        assert Near(0.5).score([Sample(response="4.4", label=4), Sample(response="5", label=4)])[0].score == 1.0
        assert Near(0.5).version != Near(0.1).version
        assert Near(0.5).is_async

    def test_without_compute_reward_every_sample_fails_and_says_so(self) -> None:
        class Empty(RewardFunction):
            pass

        [output] = Empty().score(samples("a"))
        assert output.failure is not None
        assert "Empty must define compute_reward" in output.failure.message

    def test_is_not_described_by_its_base(self) -> None:
        assert self.Exact().description is None

    def test_survives_pickling(self) -> None:
        assert cloudpickle.loads(cloudpickle.dumps(self.Exact()))(response="4", label="4").score == 1.0


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({}, "takes one of func"),
            ({"func": length, "func_path": "a.py::b"}, "takes one of func"),
            ({"func": length, "endpoint": "http://h"}, "takes one of func"),
            ({"name": "x"}, "takes one of func"),
            ({"func": length, "mode": "remote"}, "takes one of func"),
            ({"mode": "remote"}, "needs name=… .* or endpoint"),
            ({"endpoint": "localhost:8000"}, "http://"),
            ({"func": length, "mode": "loacl"}, "mode='loacl'"),
            ({"func": length, "isolation": "sandbox"}, "isolation='sandbox'"),
            ({"func": length, "timeout_s": 0}, "timeout_s=0"),
            ({"func": length, "timeout_s": -1}, "timeout_s=-1"),
            ({"func": length, "timeout_s": math.nan}, "timeout_s=nan"),
            ({"func": length, "timeout_s": "30"}, "timeout_s='30'"),
            ({"func": length, "memory_bytes": 0}, "memory_bytes=0"),
            ({"func": length, "memory_bytes": 0.5}, "memory_bytes=0.5"),
            ({"func": 5}, "no function but int"),
            ({"func": RewardFunction}, "is a reward already"),
            ({"func": length, "limit": 3}, "no parameter 'limit'"),
            ({"name": "x", "mode": "remote", "strictness": "exact"}, "remote reward takes no argument 'strictness'"),
        ],
    )
    def test_what_cannot_work_is_refused_when_it_is_made(self, options: dict[str, Any], reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            RewardFunction(**options)


class TestRemote:
    class Service:
        """Answers or raises as it is told, in a client's place."""

        def __init__(self, error: Exception | None = None) -> None:
            self.error, self.asked = error, ""

        async def ascore(self, samples: Sequence[Sample], *, reward: str) -> list[RewardOutput]:
            self.asked = reward
            if self.error is not None:
                raise self.error
            return [RewardOutput(1.0) for _ in samples]

    def remote(self, error: Exception | None = None) -> RewardFunction:
        reward = RewardFunction(name="quality", mode="remote")
        reward._remote = self.Service(error)  # type: ignore[assignment]
        return reward

    def test_asks_the_service_by_name(self) -> None:
        reward = self.remote()
        assert reward(response="a").score == 1.0
        assert reward._remote.asked == "quality"  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("error", "kind"), [(ServiceUnavailableError("gone"), "unavailable"), (DeadlineError("late"), "timeout")]
    )
    def test_a_lost_service_fails_the_samples(self, error: Exception, kind: str) -> None:
        assert kinds(self.remote(error).score(samples("a", "b"))) == [kind, kind]

    def test_a_wrong_token_raises(self) -> None:
        with pytest.raises(AuthenticationError):
            self.remote(AuthenticationError("wrong")).score(samples("a"))

    def test_survives_pickling(self) -> None:
        reward = RewardFunction(name="quality", mode="remote")
        assert cloudpickle.loads(cloudpickle.dumps(reward)).version == reward.version


class TestGroups:
    @staticmethod
    def best_of(**options: Any) -> RewardFunction:
        @reward_function(mode="group")
        def best_of(responses: list[str]) -> list[float]:
            longest = max(map(len, responses))
            return [float(len(response) == longest) for response in responses]

        return best_of.reward(**options)

    def test_a_group_reward_sees_a_group_at_a_time(self) -> None:
        samples = [
            Sample(response="aa", group_id="g"),
            Sample(response="bbb", group_id="h"),
            Sample(response="a", group_id="g"),
            Sample(response="bbbb", group_id="h"),
        ]
        assert [output.score for output in self.best_of().score(samples)] == [1.0, 0.0, 0.0, 1.0]

    def test_samples_of_one_prompt_are_a_group_where_none_is_named(self) -> None:
        samples = [Sample(prompt=text[0], response=text[1:]) for text in ("pa", "qbb", "paa", "qb")]
        assert [output.score for output in self.best_of().score(samples)] == [0.0, 1.0, 1.0, 0.0]

    def test_a_group_that_is_not_whole_has_no_scores(self) -> None:
        [one, two, alone] = self.best_of().score(
            [
                Sample(response="a", group_id="g", group_size=2),
                Sample(response="aa", group_id="g", group_size=2),
                Sample(response="b", group_id="h", group_size=2),
            ]
        )
        assert (one.score, two.score) == (0.0, 1.0)
        assert alone.failure is not None
        assert "group 'h' has 2, and 1 came together" in alone.failure.message

    def test_what_breaks_over_one_member_breaks_the_group_and_no_other(self) -> None:
        @reward_function(mode="group")
        def fussy(responses: list[str]) -> list[float]:
            return [float(response) for response in responses]

        samples = [Sample(response=text, group_id=group) for text, group in (("1", "g"), ("x", "g"), ("3", "h"))]
        outputs = fussy.reward().score(samples)
        assert [output.score for output in outputs] == [None, None, 3.0]


class Longest(RewardFunction):
    """How far a response is behind the longest of its group."""

    def compute_group(self, samples: Sequence[Sample]) -> list[float]:
        most = max(len(sample.response) for sample in samples)
        return [float(len(sample.response) - most) for sample in samples]


class SlowLongest(Longest):
    def __init__(self, count: int) -> None:
        self._all_are_here = asyncio.Barrier(count)

    async def compute_group(self, samples: Sequence[Sample]) -> list[float]:  # type: ignore[override]
        await self._all_are_here.wait()
        return super().compute_group(samples)


class TestGroupClasses:
    def test_a_class_that_writes_compute_group_compares_groups(self) -> None:
        reward = Longest()
        assert (reward.compares_groups, reward.scores_batches, reward.scores_one_by_one) == (True, True, False)
        assert not reward.is_async
        samples = [Sample(response=text, group_id=group) for text, group in (("a", "g"), ("bb", "h"), ("aaa", "g"))]
        assert [output.score for output in reward.score(samples)] == [-2.0, 0.0, 0.0]

    def test_its_groups_must_be_whole_too(self) -> None:
        [output] = Longest().score([Sample(response="a", group_id="g", group_size=2)])
        assert output.failure is not None
        assert output.failure.kind is FailureKind.INVALID_INPUT

    async def test_groups_of_an_async_one_are_compared_side_by_side(self) -> None:
        reward = SlowLongest(2)  # neither group is let on before the other has come
        assert reward.is_async
        outputs = await reward.ascore([Sample(response=text, group_id=text) for text in ("a", "bb")])
        assert [output.score for output in outputs] == [0.0, 0.0]

    def test_a_wrong_number_of_scores_fails_its_group_alone(self) -> None:
        class Short(Longest):
            def compute_group(self, samples: Sequence[Sample]) -> list[float]:
                return [1.0]

        outputs = Short().score([Sample(response=text, group_id=text[0]) for text in ("a", "ax", "b")])
        assert [output.score for output in outputs] == [None, None, 1.0]
        assert outputs[0].failure is not None
        assert outputs[0].failure.kind is FailureKind.INVALID_OUTPUT
