from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from rayreward.errors import InvalidOutputError, ServiceUnavailableError
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.step_line import Answer
from rayreward.models.step_queue import StepQueue
from rayreward.testing import ManualClock
from tests.models.scripted import ScriptedBackend, unit

PATIENCE_S = 30.0


@pytest.fixture
def held() -> Iterator[tuple[ScriptedBackend, StepQueue, ManualClock]]:
    """A queue whose device is at work on a first unit, until the test lets it go."""
    backend, clock = ScriptedBackend(held=True), ManualClock()
    queue = StepQueue(backend, now=clock)
    first = queue.ask([unit(0)])
    assert backend.started.acquire(timeout=PATIENCE_S)
    yield backend, queue, clock
    backend.go.release(1000)
    first.result(PATIENCE_S)
    queue.close()


def scores(future: Future[list[Answer]]) -> list[object]:
    return [one.score if isinstance(one, Reading) else type(one) for one in future.result(PATIENCE_S)]


def test_a_lone_unit_does_not_wait_for_company() -> None:
    backend = ScriptedBackend()
    queue = StepQueue(backend)
    assert scores(queue.ask([unit(1, 2)])) == [2.0]
    assert scores(queue.ask([])) == []
    queue.close()
    assert backend.closed_count == 1


def test_what_comes_while_the_device_works_leaves_together(
    held: tuple[ScriptedBackend, StepQueue, ManualClock],
) -> None:
    backend, queue, _ = held
    futures = [queue.ask([unit(number)]) for number in range(1, 5)]
    backend.go.release(2)
    assert [scores(future) for future in futures] == [[1.0], [2.0], [3.0], [4.0]]
    assert [len(call) for call in backend.calls] == [1, 4]
    assert (queue.stats.step_count, queue.stats.unit_count, queue.stats.computed_tokens) == (2, 5, 5)


def test_a_backend_that_lowers_its_budget_is_given_smaller_steps(
    held: tuple[ScriptedBackend, StepQueue, ManualClock],
) -> None:
    backend, queue, _ = held
    backend.max_step_tokens = 2
    future = queue.ask([unit(0, number) for number in range(3)])
    backend.go.release(4)
    assert scores(future) == [0.0, 1.0, 2.0]
    assert [len(call) for call in backend.calls] == [1, 1, 1, 1]
    assert queue.step_tokens == 2


def test_a_large_call_shares_its_steps_with_small_ones(held: tuple[ScriptedBackend, StepQueue, ManualClock]) -> None:
    backend, queue, _ = held
    large = queue.ask([unit(0, 0, number) for number in range(5)])
    small = queue.ask([unit(0, 9)])
    backend.go.release(4)
    assert (scores(large), scores(small)) == ([0.0, 1.0, 2.0, 3.0, 4.0], [9.0])
    assert [[one.ids[-1] for one in call] for call in backend.calls] == [[0], [0, 1, 9], [2, 3], [4]]
    assert all(sum(len(one.ids) for one in call) <= backend.max_step_tokens for call in backend.calls)


def test_one_bad_unit_costs_only_itself() -> None:
    def script(one: ModelInput) -> Reading | Exception:
        return ValueError("as scripted") if one.ids == (2,) else Reading(1.0, 1.0)

    queue = StepQueue(ScriptedBackend(script=script))
    assert scores(queue.ask([unit(1), unit(2), unit(3)])) == [1.0, ValueError, 1.0]
    queue.close()


def test_who_leaves_or_is_late_is_not_computed_and_counted(
    held: tuple[ScriptedBackend, StepQueue, ManualClock],
) -> None:
    backend, queue, clock = held
    gone, late, patient = queue.ask([unit(1)]), queue.ask([unit(2)], timeout_s=5.0), queue.ask([unit(3)])
    gone.cancel()
    clock.advance(5.0)
    backend.go.release(2)
    assert scores(patient) == [3.0]
    assert scores(late) == [TimeoutError]
    with pytest.raises(CancelledError):
        gone.result(0)
    assert [[one.ids for one in call] for call in backend.calls] == [[(0,)], [(3,)]]
    assert (queue.stats.gone_count, queue.stats.late_count) == (1, 1)


def test_a_device_that_dies_fails_what_it_was_at_what_waits_and_what_comes() -> None:
    backend = ScriptedBackend(held=True)
    queue = StepQueue(backend)
    under_way = queue.ask([unit(1)])
    assert backend.started.acquire(timeout=PATIENCE_S)
    waiting = queue.ask([unit(2), unit(3)])
    assert queue.lost is None
    backend.dies_with = RuntimeError("CUDA error: device-side assert triggered")
    backend.go.release()
    for future in (under_way, waiting, queue.ask([unit(4)])):
        assert set(scores(future)) == {ServiceUnavailableError}
    assert queue.lost is not None
    assert "RuntimeError: CUDA error: device-side assert" in queue.lost
    assert len(backend.calls) == 1
    queue.close()


def test_a_backend_that_notices_by_itself_that_it_is_lost_is_believed() -> None:
    backend = ScriptedBackend()
    queue = StepQueue(backend)
    backend.lost = "the engine has died"
    assert queue.lost == "the engine has died"
    queue.close()


def test_a_backend_that_answers_too_few_is_told_so() -> None:
    class Forgetful(ScriptedBackend):
        def score(self, units):  # type: ignore[no-untyped-def]
            return super().score(units)[1:]

    queue = StepQueue(Forgetful())
    assert scores(queue.ask([unit(1), unit(2)])) == [InvalidOutputError, InvalidOutputError]
    assert queue.lost is None
    queue.close()


def test_closing_fails_what_waits_and_what_comes_and_lets_the_device_finish() -> None:
    backend = ScriptedBackend(held=True)
    queue = StepQueue(backend)
    under_way = queue.ask([unit(1)])
    assert backend.started.acquire(timeout=PATIENCE_S)
    waiting = queue.ask([unit(2)])
    closing = threading.Thread(target=queue.close)
    closing.start()
    while not queue.ask([unit(3)]).done():  # until it has begun to close
        pass
    backend.go.release()
    assert scores(under_way) == [1.0]
    closing.join(PATIENCE_S)
    assert scores(waiting) == scores(queue.ask([unit(3)])) == [ServiceUnavailableError]
    assert backend.closed_count == 1


def test_a_backend_that_batches_by_itself_is_given_everything_at_once() -> None:
    backend = ScriptedBackend(steps_overlap=True, held=True)
    queue = StepQueue(backend)
    futures = []
    for number in range(3):
        futures.append(queue.ask([unit(*[number] * 20), unit(number)]))
        assert backend.started.acquire(timeout=PATIENCE_S), "a call under way holds up the next"
    assert [len(call) for call in backend.calls] == [2, 2, 2]
    backend.go.release(3)
    assert [scores(future) for future in futures] == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    queue.close()


def test_many_threads_each_get_their_own_answers() -> None:
    queue, found = StepQueue(ScriptedBackend(max_step_tokens=64)), {}

    def ask(caller: int) -> None:
        found[caller] = [scores(queue.ask([unit(1, caller), unit(2, 1000 + caller)])) for _ in range(20)]

    threads = [threading.Thread(target=ask, args=[caller]) for caller in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert found == {caller: [[float(caller), 1000.0 + caller]] * 20 for caller in range(16)}
    queue.close()
