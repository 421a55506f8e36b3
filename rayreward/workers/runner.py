"""Runs a reward where its isolation says, with a deadline.

What arrives: a reward, then batches. What leaves: one output a sample, in order, whatever the reward does; a reward
that hangs, crashes or misbehaves costs the samples it was at, never the runner.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import cloudpickle

from rayreward.batches import OutputBatch
from rayreward.boundary import AnswersEach, answer_rest_of, score_guarded
from rayreward.condition import Condition
from rayreward.errors import RewardLoadError
from rayreward.function import RewardFunction
from rayreward.grouping import positions_of_groups
from rayreward.outcome import failed_output
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.answers import Answers
from rayreward.workers.outcomes import Outcome, give_up, settled
from rayreward.workers.patience import FEW_LATE, LEAST_S, MOST_LATE, Patience
from rayreward.workers.process import ProcessWorker

T = TypeVar("T")


class Runner(Protocol):
    """Scores batches of one reward."""

    @property
    def version(self) -> str:
        """The reward's version."""
        ...

    @property
    def crash_loop(self) -> str | None:
        """What is wrong, while its processes end again and again without an answer between."""
        ...

    @property
    def condition(self) -> Condition:
        """How its reward is."""
        ...

    async def start(self) -> None:
        """Load the reward; raises `RewardLoadError` where that fails."""
        ...

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        ...

    async def begin(self, samples: Sequence[Sample]) -> Sequence[Outcome]:
        """The same, but slow samples need not be waited for: what is still under way is a future of its output."""
        ...

    async def stop(self) -> None:
        """Release what the runner holds; processes are gone when this returns."""
        ...


class InlineRunner:
    """Runs on the event loop: for rewards that are async or trivial.

    A deadline is kept by giving up on the answer; a sync reward that blocks cannot be interrupted here.
    """

    def __init__(self, reward: RewardFunction, *, timeout_s: float, patience_s: float = LEAST_S) -> None:
        self._reward, self._timeout_s, self._patience_s = reward, timeout_s, patience_s
        self._is_plain = reward.is_plain
        self._late_count, self._most_late = 0, MOST_LATE if reward.only_waits else FEW_LATE
        self._version: str | None = None

    @property
    def version(self) -> str:
        """The reward's version, hashed once."""
        if self._version is None:
            self._version = self._reward.version
        return self._version

    @property
    def crash_loop(self) -> str | None:
        """None: there are no processes."""
        return None

    @property
    def condition(self) -> Condition:
        """How its reward is."""
        return self._reward.serving_condition

    async def start(self) -> None:
        """Load the reward, off the loop: a model may take minutes."""
        await asyncio.to_thread(self._reward.load)

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        if not self._is_plain:
            return await self._within_deadline(self._placed(score_guarded(self._reward.ascore, samples)), samples)
        begun = self._reward._begin_all(samples)
        for one in begun:
            if not isinstance(one, RewardOutput):
                return await self._within_deadline(self._reward._finish_all(begun), samples)
        return OutputBatch(cast(list[RewardOutput], begun))  # done before a deadline could be looked at

    async def begin(self, samples: Sequence[Sample]) -> Sequence[Outcome]:
        """The same; of a reward that answers each sample when it knows it, what is known soon, and the rest late."""
        if not self._reward.answers_each:
            return await self.run(samples)
        answers = Answers(len(samples))
        whole = asyncio.get_running_loop().create_task(self._answer(samples, answers))
        whole.add_done_callback(partial(_answer_lost, answers))
        try:
            await asyncio.wait({whole}, timeout=self._patience_s)
            while not whole.done() and answers.open_count + self._late_count > self._most_late:
                await asyncio.wait({whole}, timeout=self._patience_s)
        except asyncio.CancelledError:
            whole.cancel()
            raise
        outcomes = answers.outcomes(on_over=whole.cancel)
        for outcome in outcomes:
            if not isinstance(outcome, RewardOutput):
                self._late_count += 1
                outcome.add_done_callback(self._come_late)
        return outcomes

    def _come_late(self, _: asyncio.Future[RewardOutput]) -> None:
        self._late_count -= 1

    async def _answer(self, samples: Sequence[Sample], answers: Answers) -> None:
        work = self._placed(_rest_of(self._reward, samples, answers))
        answers.answer_rest((await self._within_deadline(work, samples))[0])

    def _placed(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """`work`, where it is to run."""
        return work

    async def _within_deadline(
        self, work: Awaitable[list[RewardOutput]], samples: Sequence[Sample]
    ) -> list[RewardOutput]:
        limit_s, count = self._timeout_s * self._limit_count(samples), len(samples)
        try:
            async with asyncio.timeout(limit_s):  # not wait_for, which makes a task
                return await work
        except TimeoutError:
            message = f"no answer within {limit_s:g} s for {count} samples together"
            return [RewardOutput.failed(FailureKind.TIMEOUT, message) for _ in range(count)]

    def _limit_count(self, samples: Sequence[Sample]) -> int:
        """How many times the limit: it is a sample's, a group's, and only a batch reward's is its call's.

        A judge that is asked a few at a time, or a model that scores one after the other, needs it for each.
        """
        if not self._reward.scores_batches:
            return len(samples)
        return len(positions_of_groups(samples)) if self._reward.compares_groups else 1

    async def stop(self) -> None:
        """Release what the reward holds, off the loop: a device may be at its last step."""
        await asyncio.to_thread(self._reward.unload)


class ThreadRunner(InlineRunner):
    """Runs on one thread with an event loop of its own, so that sync work does not hold up the replica.

    A deadline is kept by giving up on the answer: the thread stays busy until the reward returns.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Load the reward and start the thread."""
        await super().start()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=[self._loop], name="rayreward-reward", daemon=True).start()

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        return await self._within_deadline(self._placed(score_guarded(self._reward.ascore, samples)), samples)

    def _placed(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        if self._loop is None:
            work.close()
            raise RuntimeError("a runner was used before its start or after its stop; this is a bug in rayreward")
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def stop(self) -> None:
        """Release what the reward holds, and end the thread, as soon as the reward lets it."""
        await super().stop()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)


def _answer_lost(answers: Answers, whole: asyncio.Task[None]) -> None:
    """Whatever ended the work, nobody waits for ever for what it did not answer."""
    error = asyncio.CancelledError("it was given up") if whole.cancelled() else whole.exception()
    if error is not None:
        answers.answer_rest(failed_output(error))


async def _rest_of(reward: AnswersEach, samples: Sequence[Sample], answers: Answers) -> list[RewardOutput]:
    return [await answer_rest_of(reward, samples, answers.answer)]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


class ProcessRunner:
    """Runs in killable processes; a batch is spread over those that exist.

    A slow sample has a process of its own from when it is found to be slow, and holds up no other.
    """

    def __init__(
        self,
        reward: RewardFunction,
        *,
        process_count: int,
        timeout_s: float,
        memory_bytes: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._timeout_s, self._version = timeout_s, reward.version
        blob, patience = _pickled(reward), patience or Patience()
        self._workers = [
            ProcessWorker(
                blob,
                one_by_one=reward.scores_one_by_one,
                concurrent=reward.is_async,
                memory_bytes=memory_bytes or reward.memory_bytes,
                name=reward.name or type(reward).__name__,
                patience=patience,
            )
            for _ in range(process_count)
        ]
        self._splits = reward.scores_one_by_one and process_count > 1
        self._idle: asyncio.Queue[ProcessWorker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)

    @property
    def version(self) -> str:
        """The reward's version."""
        return self._version

    @property
    def crash_loop(self) -> str | None:
        """What is wrong, while a process ends again and again without an answer between."""
        return next((worker.crash_loop for worker in self._workers if worker.crash_loop is not None), None)

    @property
    def condition(self) -> Condition:
        """Nothing is known of what its processes do."""
        return Condition()

    async def start(self) -> None:
        """Start all processes at once; where one cannot, none is left."""
        try:
            await asyncio.gather(*(worker.start() for worker in self._workers))
        except BaseException:
            await self.stop()
            raise

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        return await settled(await self.begin(samples))

    async def begin(self, samples: Sequence[Sample]) -> Sequence[Outcome]:
        """The same, as soon as none but slow samples are left."""
        if not self._splits or len(samples) < 2:
            return await self._begin_part(samples)
        size = -(-len(samples) // len(self._workers))
        starts = range(0, len(samples), size)
        parts = [asyncio.ensure_future(self._begin_part(samples[start : start + size])) for start in starts]
        try:
            return [outcome for begun in await asyncio.gather(*parts) for outcome in begun]
        except BaseException:
            for part in parts:
                part.cancel()
            for begun in await asyncio.gather(*parts, return_exceptions=True):
                give_up([] if isinstance(begun, BaseException) else begun)
            raise

    async def _begin_part(self, samples: Sequence[Sample]) -> list[Outcome]:
        worker = await self._idle.get()
        try:
            return await worker.begin(samples, self._timeout_s)
        finally:
            self._idle.put_nowait(worker)

    async def stop(self) -> None:
        """Kill every process; what is under way fails as `unavailable`."""
        await asyncio.gather(*(worker.close() for worker in self._workers))


def _pickled(reward: RewardFunction) -> bytes:
    try:
        blob: bytes = cloudpickle.dumps(reward)
    except Exception as error:  # the boundary: the author's objects pickle themselves
        raise RewardLoadError(
            f"reward {reward.name or type(reward).__name__!r} cannot be sent to its worker process: {error}; open what "
            f"cannot be pickled in load(), or declare isolation='thread' or 'inline'"
        ) from error
    return blob
