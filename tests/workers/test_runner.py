from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rayreward import RewardFunction, RewardOutput, Sample
from rayreward.errors import RewardLoadError
from rayreward.rewards import CompositeReward, LengthReward
from rayreward.testing import HANG, ScriptedReward
from rayreward.workers import build_runner
from rayreward.workers.outcomes import settled
from rayreward.workers.patience import FEW_LATE
from rayreward.workers.runner import InlineRunner, ThreadRunner
from tests.processes import children
from tests.workers import hostile


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def said(outputs: list[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


class TestProcessRunner:
    async def test_spreads_a_batch_over_its_processes_and_keeps_the_order(self) -> None:
        runner = build_runner(RewardFunction(func=hostile.misbehave), process_count=2)
        await runner.start()
        outputs = await runner.run(samples(*["pid", "a", "bb", "pid"]))
        assert said(outputs) == [1.0, 1.0, 2.0, 1.0]
        assert outputs[0].metadata["pid"] != outputs[3].metadata["pid"]
        await runner.stop()

    async def test_scores_more_batches_than_it_has_processes(self) -> None:
        runner = build_runner(RewardFunction(func=hostile.misbehave))
        await runner.start()
        found = await asyncio.gather(*(runner.run(samples("a" * size, "b")) for size in (1, 2, 3)))
        assert [said(outputs) for outputs in found] == [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]
        await runner.stop()

    async def test_has_the_rewards_own_version(self) -> None:
        reward = RewardFunction(func=hostile.misbehave)
        runner = build_runner(reward)
        await runner.start()
        assert runner.version == reward.version
        await runner.stop()

    async def test_where_one_process_cannot_start_none_is_left(self, tmp_path: Path) -> None:
        before = children()
        runner = build_runner(hostile.BreaksAtLoad(once=str(tmp_path / "first")), process_count=3)
        with pytest.raises(RewardLoadError, match="no weights"):
            await runner.start()
        assert children() <= before

    async def test_its_deadline_may_be_shorter_than_the_rewards_own(self) -> None:
        runner = build_runner(RewardFunction(func=hostile.misbehave, timeout_s=60), timeout_s=1.0)
        await runner.start()
        assert said(await runner.run(samples("hang", "a"))) == ["timeout", 1.0]
        await runner.stop()

    def test_a_reward_that_cannot_travel_is_refused_with_a_remedy(self) -> None:
        lock = threading.Lock()
        with pytest.raises(RewardLoadError, match=r"open what cannot be pickled in load\(\)"):
            build_runner(RewardFunction(func=lambda response: float(lock.locked())))


class TestInlineRunner:
    async def test_scores_on_the_loop(self) -> None:
        runner = build_runner(ScriptedReward({"a": 0.5}))
        await runner.start()
        assert said(await runner.run(samples("a", "b"))) == [0.5, 1.0]
        await runner.stop()

    async def test_scores_a_composite_of_rules(self) -> None:
        reward = CompositeReward([(LengthReward(target=1), 0.5), (ScriptedReward({"a": 3.0}), 1.0)])
        assert said(await build_runner(reward).run(samples("a", "b"))) == said(reward.score(samples("a", "b")))

    async def test_an_async_sample_that_is_slow_holds_up_no_other(self) -> None:
        go = asyncio.Event()

        async def reward(response: str) -> float:
            if response == "slow":
                await go.wait()
            return 1.0

        runner = InlineRunner(RewardFunction(func=reward, isolation="inline"), timeout_s=60.0, patience_s=0.01)
        outcomes = await runner.begin(samples("a", "slow", "b"))
        assert [isinstance(one, RewardOutput) for one in outcomes] == [True, False, True]
        go.set()
        assert said(await settled(outcomes)) == [1.0, 1.0, 1.0]

    async def test_an_async_group_that_is_slow_holds_up_no_other(self) -> None:
        go = asyncio.Event()

        class Compared(RewardFunction):
            isolation = "inline"

            async def compute_group(self, group: Sequence[Sample]) -> list[float]:
                if group[0].response == "slow":
                    await go.wait()
                return [float(at) for at in range(len(group))]

        runner = InlineRunner(Compared(), timeout_s=60.0, patience_s=0.01)
        asked = [Sample(response=text, group_id=text) for text in ("a", "slow", "a", "slow")]
        outcomes = await runner.begin(asked)
        assert [isinstance(one, RewardOutput) for one in outcomes] == [True, False, True, False]
        go.set()
        assert said(await settled(outcomes)) == [0.0, 0.0, 1.0, 1.0]

    async def test_a_hang_costs_its_sample(self) -> None:
        runner = build_runner(ScriptedReward({"slow": HANG}, timeout_s=0.01), timeout_s=60)
        assert said(await runner.run(samples("a", "slow", "b"))) == [1.0, "timeout", 1.0]

    async def test_the_runners_deadline_costs_the_batch(self) -> None:
        runner = build_runner(ScriptedReward({"slow": HANG}), timeout_s=0.01)
        assert said(await runner.run(samples("a", "slow"))) == ["timeout", "timeout"]

    async def test_a_plain_function_may_return_what_is_awaited_within_the_deadline(self) -> None:
        async def later(response: str) -> float:
            await asyncio.sleep(0 if response != "slow" else 3600)
            return 2.0

        def reward(response: str) -> Any:
            return 1.0 if response == "now" else later(response)

        runner = build_runner(RewardFunction(func=reward, isolation="inline"), timeout_s=0.05)
        assert said(await runner.run(samples("now", "later"))) == [1.0, 2.0]
        assert said(await runner.run(samples("now", "slow"))) == ["timeout", "timeout"]

    @pytest.mark.parametrize("answer", [[], [RewardOutput(1.0)], ValueError("x"), SystemExit(1), 5, ["a", "b", "c"]])
    async def test_a_subclass_that_breaks_its_promise_costs_the_batch(self, answer: Any) -> None:
        outputs = await build_runner(hostile.Careless(answer, isolation="inline")).run(samples("a", "b"))
        assert [output.score for output in outputs] == [None, None]

    async def test_bare_numbers_of_a_subclass_are_taken(self) -> None:
        runner = build_runner(hostile.Careless([1.0, "x"], isolation="inline"))
        assert said(await runner.run(samples("a", "b"))) == [1.0, "invalid_output"]

    async def test_a_reward_that_cannot_be_loaded_says_so_at_the_start(self) -> None:
        reward = hostile.BreaksAtLoad()
        reward.isolation = "inline"
        with pytest.raises(ValueError, match="no weights"):
            await build_runner(reward).start()


class TestThreadRunner:
    async def test_sync_work_leaves_the_loop_free(self) -> None:
        release = threading.Event()
        reward = RewardFunction(func=lambda response: float(release.wait(30)), isolation="thread")
        runner = build_runner(reward)
        await runner.start()
        task = asyncio.create_task(runner.run(samples("a")))
        await asyncio.sleep(0)
        release.set()  # a blocked loop would never come here
        assert said(await task) == [1.0]
        await runner.stop()

    async def test_one_thread_and_one_loop_serve_all_batches(self) -> None:
        seen: set[Any] = set()

        async def reward(response: str) -> float:
            seen.add((threading.get_ident(), asyncio.get_running_loop()))
            return 1.0

        runner = build_runner(RewardFunction(func=reward, isolation="thread"))
        await runner.start()
        for _ in range(3):
            assert said(await runner.run(samples("a", "b"))) == [1.0, 1.0]
        assert len(seen) == 1
        assert threading.get_ident() not in {thread for thread, _ in seen}
        await runner.stop()

    async def test_a_hang_costs_the_batch_and_not_the_replica(self) -> None:
        release = threading.Event()
        runner = build_runner(
            RewardFunction(func=lambda response: float(release.wait(30)), isolation="thread"), timeout_s=0.01
        )
        await runner.start()
        assert said(await runner.run(samples("a"))) == ["timeout"]
        release.set()
        await runner.stop()
        await runner.stop()


class Waiting(RewardFunction):
    isolation = "inline"

    async def compute_group(self, samples: Sequence[Sample]) -> list[float]:
        await asyncio.Event().wait()
        return []


async def test_the_limit_of_a_reward_that_compares_groups_is_a_groups() -> None:
    runner = build_runner(Waiting(), timeout_s=0.01)
    await runner.start()
    outputs = await runner.run([Sample(response=text, group_id=text[0]) for text in ("a", "ax", "b")])
    assert {output.failure.message for output in outputs if output.failure} == {
        "no answer within 0.02 s for 3 samples together"
    }


class TestAnsweringEach:
    async def test_who_is_not_answered_for_the_work_has_ended_oddly_fails(self) -> None:
        runner = build_runner(hostile.EndsItsOwnTask())
        await runner.start()
        async with asyncio.timeout(10):
            outcomes = await runner.begin(samples("a", "b"))
            assert said(await settled(outcomes)) == [1.0, "cancelled"]
        await runner.stop()

    @pytest.mark.parametrize("is_part", [False, True])
    async def test_a_replica_that_is_busy_is_waited_for_until_few_samples_are_left(self, is_part: bool) -> None:
        reward = hostile.AnswersWhenLet()
        composite = CompositeReward([(reward, 1.0, "let"), (LengthReward(target=1), 0.0)])
        runner = ThreadRunner(composite if is_part else reward, timeout_s=60.0, patience_s=0.01)
        await runner.start()
        beginning = asyncio.create_task(runner.begin(samples(*"a" * (FEW_LATE + 3))))
        await asyncio.wait({beginning}, timeout=0.1)
        assert not beginning.done()
        reward.let(3)
        outcomes = await beginning
        assert [isinstance(one, RewardOutput) for one in outcomes] == [True] * 3 + [False] * FEW_LATE
        beginning = asyncio.create_task(runner.begin(samples("a")))
        await asyncio.wait({beginning}, timeout=0.1)
        assert not beginning.done(), "those that are late count too"
        reward.let(FEW_LATE)
        assert said(await settled(outcomes)) == [float(at) for at in range(FEW_LATE + 3)]
        reward.let(1)
        assert said(await settled(await beginning)) == [0.0]
        await runner.stop()
