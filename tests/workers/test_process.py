from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import cloudpickle
import pytest

from rayreward import RewardFunction, RewardOutput, Sample
from rayreward.errors import RewardLoadError
from rayreward.workers import attempt, build_runner
from rayreward.workers.outcomes import Outcome, give_up, settled
from rayreward.workers.patience import Patience
from rayreward.workers.process import ProcessWorker
from tests.processes import is_alive, is_gone
from tests.workers import hostile

SHORT_S = 1.0
"""A deadline that a hang must reach, and nothing else even on a busy machine."""

LONG_S = 60.0


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def said(outputs: Sequence[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def message(output: RewardOutput) -> str:
    assert output.failure is not None
    return output.failure.message


async def pid_of(worker: ProcessWorker) -> int:
    """The worker's process, as soon as there is one."""
    while worker.pid is None:  # noqa: ASYNC110 - a worker announces nothing
        await asyncio.sleep(0)
    return worker.pid


Start = Callable[..., ProcessWorker]


@pytest.fixture
async def worker() -> AsyncIterator[Start]:
    """Makes workers; at the end none of their processes is left."""
    made: list[ProcessWorker] = []

    def make(reward: RewardFunction | Callable[..., Any], patience: Patience | None = None) -> ProcessWorker:
        if not isinstance(reward, RewardFunction):
            reward = RewardFunction(func=reward, timeout_s=SHORT_S)
        blob = cloudpickle.dumps(reward)
        made.append(
            ProcessWorker(
                blob,
                one_by_one=reward.scores_one_by_one,
                concurrent=reward.is_async,
                memory_bytes=2**28,
                name="hostile",
                patience=patience,
            )
        )
        return made[-1]

    yield make
    pids = [one.pid for one in made]
    for one in made:
        await one.close()
    assert not any(is_alive(pid) for pid in pids if pid is not None)


class TestOneByOne:
    async def test_outputs_come_in_order(self, worker: Start) -> None:
        outputs = await worker(hostile.misbehave).run(samples("a", "bbb", "cc"), LONG_S)
        assert said(outputs) == [1.0, 3.0, 2.0]

    @pytest.mark.parametrize(
        ("response", "kind", "reason"),
        [
            ("exit", "crashed", "exit code 3"),
            ("segfault", "crashed", "SIGSEGV"),
            ("sigkill", "crashed", r"SIGKILL \(out of memory\?\)"),
            ("hang up", "crashed", "its process ended"),
            ("sys.exit", "error", "SystemExit: usage"),
            ("raise", "error", r"ValueError: as asked \(hostile.py:\d+ in misbehave\)"),
            ("nan", "invalid_output", "finite"),
        ],
    )
    async def test_a_sample_that_breaks_costs_itself_and_its_neighbours_keep_their_scores(
        self, worker: Start, response: str, kind: str, reason: str
    ) -> None:
        outputs = await worker(hostile.misbehave).run(samples("a", response, "ccc"), LONG_S)
        assert said(outputs) == [1.0, kind, 3.0]
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(message(outputs[1]))

    @pytest.mark.parametrize("response", ["hang", "spin"])
    async def test_one_that_hangs_is_killed_and_a_new_process_goes_on(self, worker: Start, response: str) -> None:
        one = worker(hostile.misbehave)
        await one.start()
        first = one.pid
        outputs = await one.run(samples("a", response, "ccc"), SHORT_S)
        assert said(outputs) == [1.0, "timeout", 3.0]
        assert "its process was killed" in message(outputs[1])
        assert one.pid != first
        assert one.restart_count == 1
        assert first is not None
        assert await is_gone(first)

    async def test_many_that_crash_in_a_row_do_not_take_the_good_ones_along(self, worker: Start) -> None:
        outputs = await worker(hostile.misbehave).run(samples(*["exit"] * 4, "good"), LONG_S)
        assert said(outputs) == ["crashed"] * 4 + [4.0]

    async def test_what_it_started_goes_with_it(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        [output] = await one.run(samples("spawn"), LONG_S)
        pid = output.metadata["pid"]
        assert is_alive(pid)
        assert said(await one.run(samples("spawn and hang"), SHORT_S)) == ["timeout"]
        assert await is_gone(pid)

    async def test_what_it_started_goes_with_it_when_it_crashes(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        [output] = await one.run(samples("spawn"), LONG_S)
        assert said(await one.run(samples("spawn and exit"), LONG_S)) == ["crashed"]
        assert await is_gone(output.metadata["pid"])

    async def test_a_process_that_died_between_two_batches_costs_no_sample(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        await one.start()
        assert one.pid is not None
        os.kill(one.pid, signal.SIGKILL)
        assert await is_gone(one.pid)
        assert said(await one.run(samples("a", "bb"), LONG_S)) == [1.0, 2.0]

    async def test_its_prints_do_not_reach_standard_output(
        self, worker: Start, capfd: pytest.CaptureFixture[str]
    ) -> None:
        await worker(hostile.misbehave).run(samples("print"), LONG_S)
        out, err = capfd.readouterr()
        assert out == ""
        assert "noise on standard output" in err

    async def test_samples_and_outputs_that_cannot_travel_cost_themselves(self, worker: Start) -> None:
        batch = [
            Sample(response="a"),
            Sample(response="b", label=lambda: 0),
            Sample(response="c", label=hostile.OnlyHere()),
            *samples("unpicklable", "foreign", "dd"),
        ]
        outputs = await worker(hostile.misbehave).run(batch, LONG_S)
        assert said(outputs) == [1.0, "invalid_input", "invalid_input", 0.5, "invalid_output", 2.0]
        assert "lock" in outputs[3].metadata

    async def test_of_no_samples_is_nothing(self, worker: Start) -> None:
        assert await worker(hostile.misbehave).run([], LONG_S) == []

    async def test_a_cancelled_batch_leaves_a_worker_that_is_free(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        await one.start()
        first = one.pid
        assert first is not None
        task = asyncio.create_task(one.run(samples("hang"), LONG_S))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await is_gone(first)
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]


class TestAsync:
    async def test_a_sample_that_waits_for_ever_costs_itself_and_no_process(self, worker: Start) -> None:
        one = worker(hostile.misbehave_async)
        outputs = await one.run(samples("a", "wait", "ccc"), SHORT_S)
        assert said(outputs) == [1.0, "timeout", 3.0]
        assert one.restart_count == 0

    async def test_a_blocked_loop_is_killed(self, worker: Start) -> None:
        one = worker(hostile.misbehave_async)
        assert said(await one.run(samples("spin"), SHORT_S)) == ["timeout"]
        assert one.restart_count == 1
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]

    async def test_a_crash_is_cornered_by_halving(self, worker: Start) -> None:
        outputs = await worker(hostile.misbehave_async).run(samples("a", "bb", "exit", "dddd", "eeeee"), LONG_S)
        assert said(outputs) == [1.0, 2.0, "crashed", 4.0, 5.0]

    async def test_one_loop_serves_all_batches(self, worker: Start) -> None:
        one = worker(hostile.same_loop)
        for _ in range(2):
            assert said(await one.run(samples("a"), LONG_S)) == [1.0]


class TestBatch:
    async def test_a_crash_is_cornered_by_halving(self, worker: Start) -> None:
        outputs = await worker(hostile.misbehave_together).run(samples("a", "exit", "ccc", "segfault"), LONG_S)
        assert said(outputs) == [1.0, "crashed", 3.0, "crashed"]

    async def test_a_hang_costs_the_batch_and_says_so(self, worker: Start) -> None:
        outputs = await worker(hostile.misbehave_together).run(samples("a", "hang"), SHORT_S)
        assert said(outputs) == ["timeout", "timeout"]
        assert "2 samples together" in message(outputs[0])

    @pytest.mark.parametrize("answer", [[], [1.0], [1.0, 2.0, 3.0], 5, "ab", None])
    async def test_a_wrong_number_of_outputs_is_invalid(self, worker: Start, answer: Any) -> None:
        outputs = await worker(hostile.misbehave_answering(answer)).run(samples("a", "b"), LONG_S)
        assert said(outputs) == ["invalid_output"] * 2

    @pytest.mark.parametrize("answer", [[], [RewardOutput(1.0)], ValueError("x"), SystemExit(1), 5])
    async def test_so_is_a_subclass_that_breaks_its_promise(self, worker: Start, answer: Any) -> None:
        one = worker(hostile.Careless(answer))
        outputs = await one.run(samples("a", "b"), LONG_S)
        assert {output.score for output in outputs} == {None}
        assert one.restart_count == 0


class TestStart:
    @pytest.mark.parametrize(
        ("how", "reason"), [("raise", "no weights"), ("exit", "exit code 4"), ("sys.exit", "SystemExit: usage")]
    )
    async def test_a_reward_that_cannot_be_loaded_leaves_no_process(self, worker: Start, how: str, reason: str) -> None:
        one = worker(hostile.BreaksAtLoad(how))
        with pytest.raises(RewardLoadError, match=reason):
            await one.start()
        assert one.pid is None

    async def test_one_that_breaks_later_fails_its_samples_as_unavailable(self, worker: Start) -> None:
        assert said(await worker(hostile.BreaksAtLoad()).run(samples("a", "b"), LONG_S)) == ["unavailable"] * 2

    async def test_a_start_that_is_cancelled_leaves_no_process(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        task = asyncio.create_task(one.start())
        pid = await pid_of(one)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await is_gone(pid)

    async def test_a_closed_worker_fails_what_is_under_way_and_never_starts_again(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        task = asyncio.create_task(one.run(samples("hang", "b"), LONG_S))
        await pid_of(one)
        await one.close()
        assert {output.score for output in await task} == {None}
        assert one.pid is None
        assert said(await one.run(samples("a"), LONG_S)) == ["unavailable"]

    async def test_it_finds_the_modules_that_its_replica_finds(
        self, worker: Start, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "beside_the_script.py").write_text("def one(response):\n    return 7.0\n")
        monkeypatch.syspath_prepend(tmp_path)
        from beside_the_script import one as reward  # type: ignore[import-not-found]

        assert said(await worker(reward).run(samples("a"), LONG_S)) == [7.0]


class TestForks:
    @pytest.mark.parametrize("more", ["", "file", "numpy"])
    async def test_what_is_loaded_outlives_who_scores(self, worker: Start, more: str) -> None:
        outputs = await worker(hostile.Loads(more)).run(samples("a", "exit", "b", "hang", "c"), SHORT_S)
        assert said(outputs) == [1.0, "crashed", 1.0, "timeout", 1.0]
        healthy = [outputs[0].metadata, outputs[2].metadata, outputs[4].metadata]
        assert len({found["loader"] for found in healthy}) == 1
        assert len({found["scorer"] for found in healthy} - {healthy[0]["loader"]}) == 3

    @pytest.mark.parametrize("more", ["thread", "process", "socket", "loop"])
    async def test_what_a_fork_would_share_is_loaded_again(self, worker: Start, more: str) -> None:
        outputs = await worker(hostile.Loads(more)).run(samples("a", "exit", "b"), LONG_S)
        assert said(outputs) == [1.0, "crashed", 1.0]
        before, after = outputs[0].metadata, outputs[2].metadata
        assert (before["loader"], after["loader"]) == (before["scorer"], after["scorer"])
        assert before["loader"] != after["loader"]

    async def test_chance_is_as_load_left_it(self, worker: Start) -> None:
        outputs = await worker(hostile.Loads("seed")).run(samples("a", "exit", "b"), LONG_S)
        assert outputs[0].metadata["drawn"] == outputs[2].metadata["drawn"] == random.Random(7).random()

    async def test_where_the_process_that_had_loaded_it_dies_it_is_loaded_again(self, worker: Start) -> None:
        one = worker(hostile.Loads())
        [first] = await one.run(samples("a"), LONG_S)
        os.kill(first.metadata["loader"], signal.SIGKILL)
        assert await is_gone(first.metadata["loader"])
        outputs = await one.run(samples("exit", "b"), LONG_S)
        assert said(outputs) == ["crashed", 1.0]
        assert outputs[1].metadata["loader"] != first.metadata["loader"]
        assert await is_gone(first.metadata["scorer"])

    def test_uvloop_runs_it_too(self) -> None:
        uvloop = pytest.importorskip("uvloop")
        reward = RewardFunction(func=hostile.misbehave)

        async def scored() -> list[RewardOutput]:
            runner = build_runner(reward, timeout_s=SHORT_S)
            await runner.start()
            try:
                return await runner.run(samples("a", "hang", "exit", "b"))
            finally:
                await runner.stop()

        assert said(uvloop.run(scored())) == [1.0, "timeout", "crashed", 1.0]


class TestSlow:
    async def test_async_samples_are_never_set_aside_for_nobody_knows_whose_answer_comes_next(
        self, worker: Start
    ) -> None:
        one = worker(RewardFunction(func=hostile.hold_up_the_loop, timeout_s=LONG_S))
        await one.start()
        outcomes = await one.begin(samples("early", "late", "block"), 0.5)
        assert said(await settled(outcomes)) == [1.0, 2.0, 3.0]
        assert "late" not in self.known(outcomes)

    async def test_a_batch_whose_end_alone_is_slow_has_nobody_to_set_aside(self, worker: Start) -> None:
        patience = Patience(least_s=0.02)
        one = worker(hostile.linger, patience)
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]  # the first of a process has more time
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]
        assert patience.aside_count == 0

    async def test_a_process_whose_answers_could_not_be_read_answers_no_further_batch(
        self, worker: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = worker(hostile.misbehave)

        def unreadable(blob: bytes) -> RewardOutput:
            monkeypatch.undo()
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(attempt, "unpickled", unreadable)
        with pytest.raises(RuntimeError, match="mistake of ours"):
            await one.run(samples("a", "bb", "ccc"), LONG_S)
        assert said(await one.run(samples("dddd", "eeeee"), LONG_S)) == [4.0, 5.0]

    @staticmethod
    def known(outcomes: list[Outcome]) -> list[Any]:
        return ["late" if not isinstance(one, RewardOutput) else said([one])[0] for one in outcomes]

    async def test_those_behind_it_and_the_next_batch_are_scored_by_others(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        outcomes = await one.begin(samples("a", "hang", "ccc", "spin", "dddd"), LONG_S)
        assert self.known(outcomes) == [1.0, "late", 3.0, "late", 4.0]
        assert said(await one.run(samples("bb"), LONG_S)) == [2.0]
        assert one.restart_count == 0
        give_up(outcomes)

    async def test_what_is_given_up_is_killed(self, worker: Start) -> None:
        patience = Patience()
        one = worker(hostile.misbehave, patience)
        await one.start()
        slow = one.pid
        outcomes = await one.begin(samples("hang"), LONG_S)
        assert patience.aside_count == 1
        give_up(outcomes)
        assert slow is not None
        assert await is_gone(slow)
        assert patience.aside_count == 0
        assert one.pid != slow

    async def test_a_cancelled_batch_gives_up_what_it_has_set_aside(self, worker: Start) -> None:
        patience = Patience(most_aside=1)
        one = worker(hostile.misbehave, patience)
        await one.start()
        slow = one.pid
        task = asyncio.create_task(one.begin(samples("hang", "hang"), LONG_S))
        while not patience.aside_count:  # noqa: ASYNC110 - a worker announces nothing
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        assert slow is not None
        assert await is_gone(slow)
        assert patience.aside_count == 0
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]

    async def test_beyond_the_bound_a_slow_one_holds_up_the_others_until_one_has_ended(self, worker: Start) -> None:
        one = worker(hostile.misbehave, Patience(most_aside=1))
        outcomes = await one.begin(samples("a", "hang", "hang", "a"), SHORT_S)
        assert isinstance(outcomes[3], RewardOutput)
        assert outcomes[1].done()  # type: ignore[union-attr]
        assert said(await settled(outcomes)) == [1.0, "timeout", "timeout", 1.0]
        assert one.restart_count == 2

    async def test_one_that_crashes_later_costs_itself(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        await one.start()
        slow = one.pid
        outcomes = await one.begin(samples("hang", "a"), LONG_S)
        assert self.known(outcomes) == ["late", 1.0]
        assert slow is not None
        os.kill(slow, signal.SIGSEGV)
        outputs = await settled(outcomes)
        assert said(outputs) == ["crashed", 1.0]
        assert "SIGSEGV" in message(outputs[0])
        assert one.restart_count == 1

    async def test_where_no_other_process_can_be_forked_it_holds_up_the_others_until_its_deadline(
        self, worker: Start
    ) -> None:
        outcomes = await worker(hostile.Loads("thread")).begin(samples("hang", "a"), SHORT_S)
        assert self.known(outcomes) == ["timeout", 1.0]

    async def test_a_closed_worker_leaves_none(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        await one.start()
        slow = one.pid
        outcomes = await one.begin(samples("hang"), LONG_S)
        await one.close()
        assert slow is not None
        assert not is_alive(slow)
        assert said(await settled(outcomes)) == ["crashed"]


class TestMemory:
    @pytest.mark.parametrize("response", ["explode", "leak"])
    @pytest.mark.parametrize("reward", [hostile.misbehave, hostile.misbehave_async, hostile.misbehave_together])
    async def test_a_sample_that_takes_too_much_costs_itself(
        self, worker: Start, reward: Callable[..., Any], response: str
    ) -> None:
        outputs = await worker(reward).run(samples("a", response, "ccc"), LONG_S)
        assert said(outputs) == [1.0, "error", 3.0]
        assert message(outputs[1]).startswith("out of memory")
        assert message(outputs[1]).endswith("its process may take 0.25 GiB beside what load() left: raise memory_bytes")

    async def test_what_fills_it_goes_with_its_process(self, worker: Start) -> None:
        one = worker(hostile.misbehave)
        assert said(await one.run(samples("pid", "leak", "leak", "pid"), LONG_S)) == [1.0, "error", "error", 1.0]
        assert said(await one.run(samples("leak"), LONG_S)) == ["error"]
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]
        assert one.restart_count == 0

    async def test_so_does_one_that_is_started_anew(self, worker: Start) -> None:
        outputs = await worker(hostile.Loads("thread")).run(samples("a", "leak", "b"), LONG_S)
        assert said(outputs) == [1.0, "error", 1.0]


class TestCrashLoop:
    async def test_is_told_while_it_lasts_and_logged_once(
        self, worker: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = worker(hostile.misbehave)
        assert said(await one.run(samples(*["exit"] * 7), LONG_S)) == ["crashed"] * 7
        assert one.crash_loop is not None
        assert "'hostile'" in one.crash_loop
        assert "7 times in a row" in one.crash_loop
        assert "exit code 3" in one.crash_loop
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert said(await one.run(samples("a"), LONG_S)) == [1.0]
        assert one.crash_loop is None


REPLICA = """
import asyncio, sys
import cloudpickle
from rayreward import RewardFunction, Sample
from rayreward.workers.outcomes import Outcome, give_up, settled
from rayreward.workers.patience import Patience
from rayreward.workers.process import ProcessWorker
from tests.workers.hostile import misbehave

async def main():
    blob = cloudpickle.dumps(RewardFunction(func=misbehave))
    worker = ProcessWorker(blob, one_by_one=True, concurrent=False, memory_bytes=2**30, name="hostile")
    await worker.start()
    print(worker.pid, flush=True)
    outputs = await worker.run([Sample(response="spawn")], 60.0)
    print(outputs[0].metadata["pid"], flush=True)
    await worker.run([Sample(response=sys.argv[1])], 600.0)

asyncio.run(main())
"""


@pytest.mark.parametrize("doing", ["spin", "hang"])
async def test_a_replica_that_is_killed_takes_its_busy_worker_and_what_that_started_along(doing: str) -> None:
    replica = await asyncio.create_subprocess_exec(sys.executable, "-c", REPLICA, doing, stdout=asyncio.subprocess.PIPE)
    assert replica.stdout is not None
    worker, started_by_it = int(await replica.stdout.readline()), int(await replica.stdout.readline())
    assert is_alive(worker)
    assert is_alive(started_by_it)
    replica.kill()
    await replica.communicate()
    assert await is_gone(worker)
    assert await is_gone(started_by_it)
