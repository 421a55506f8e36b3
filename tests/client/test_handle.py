"""The handle client over a stand-in for Ray's handle; tests/serve has the real one."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError

from rayreward import HandleClient
from rayreward.client import handle as module
from rayreward.errors import BackpressureError, ServiceUnavailableError
from rayreward.sample import Sample
from rayreward.types import RewardInfo, RewardOutput


class Handle:
    """Ray's handle: `handle.options(method_name=…).remote(…)` is awaitable and can be cancelled."""

    def __init__(self, *losses: Exception, is_held: bool = False) -> None:
        self.losses, self.calls, self.cancelled_count = list(losses), list[tuple[Any, ...]](), 0
        self.is_held = is_held
        self.were_by_reference = list[bool]()

    def options(self, *, method_name: str, _by_reference: bool) -> Any:
        handle = self

        class Method:
            def remote(self, *args: Any, **options: Any) -> Any:
                handle.were_by_reference.append(_by_reference)
                # As Ray does it: what arrives is another object.
                return Response(handle, method_name, pickle.loads(cloudpickle.dumps(args)), options)

        return Method()

    def answer(self, name: str, args: tuple[Any, ...]) -> Any:
        if name == "describe":
            return [RewardInfo("r", "ready")]
        return [RewardOutput(float(len(sample.response))) for sample in args[1]]


class Response:
    def __init__(self, handle: Handle, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.handle, self.name, self.args = handle, name, args
        handle.calls.append((name, *args, options))

    def __await__(self) -> Any:
        return self._run().__await__()

    async def _run(self) -> Any:
        if self.handle.is_held:
            await asyncio.Event().wait()
        if self.handle.losses:
            raise self.handle.losses.pop(0)
        return self.handle.answer(self.name, self.args)

    def cancel(self) -> None:
        self.handle.cancelled_count += 1


Connect = Callable[..., HandleClient]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def connect(handle: Handle) -> HandleClient:
        monkeypatch.setattr(module, "find_app", lambda app, **_: handle)
        return HandleClient()

    return connect


async def test_what_many_callers_ask_at_once_is_one_call(connected: Connect) -> None:
    handle = Handle()
    client = connected(handle)
    found = await asyncio.gather(*(client.ascore([Sample(response="x" * size)]) for size in range(256)))
    assert [outputs[0].score for outputs in found] == [float(size) for size in range(256)]
    assert len(handle.calls) == 1


async def test_rewards_and_runs_travel_apart(connected: Connect) -> None:
    handle = Handle()
    client = connected(handle)
    await asyncio.gather(
        client.ascore([Sample(response="a")]),
        client.ascore([Sample(response="b")], reward="other"),
        client.ascore([Sample(response="c")], run="ppo"),
    )
    assert sorted((call[1] or "", call[3]["run"] or "") for call in handle.calls) == [
        ("", ""),
        ("", "ppo"),
        ("other", ""),
    ]


async def test_priorities_travel_apart(connected: Connect) -> None:
    handle = Handle()
    client = connected(handle)
    await asyncio.gather(
        client.ascore([Sample(response="a")]),
        client.ascore([Sample(response="b")], priority="batch"),
        client.ascore([Sample(response="c")], priority="batch"),
    )
    assert [(len(call[2]), call[3]["priority"]) for call in handle.calls] == [(1, "train"), (2, "batch")]


async def test_a_lost_replica_is_asked_again(connected: Connect) -> None:
    handle = Handle(ActorDiedError())
    assert (await connected(handle).ascore([Sample(response="a")]))[0].score == 1.0
    assert len(handle.calls) == 2


async def test_small_calls_go_directly_and_large_or_lost_ones_through_the_object_store(connected: Connect) -> None:
    handle = Handle(ActorDiedError())
    client = connected(handle)
    await client.ascore([Sample(response="a")])
    await client.ascore([Sample(response="x" * 4_000_000)])
    assert handle.were_by_reference == [False, True, True]


async def test_an_answer_that_is_too_large_to_come_directly_is_asked_for_once_more_and_then_never(
    connected: Connect,
) -> None:
    too_large = AioRpcError(StatusCode.RESOURCE_EXHAUSTED, Metadata(), Metadata())
    handle = Handle(too_large)
    client = connected(handle)
    for _ in range(2):
        assert (await client.ascore([Sample(response="a")]))[0].score == 1.0
    assert handle.were_by_reference == [False, True, True]


async def test_any_other_error_of_the_transport_fails_the_samples(connected: Connect) -> None:
    handle = Handle(AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata()))
    [output] = await connected(handle).ascore([Sample(response="a")])
    assert output.failure is not None
    assert len(handle.calls) == 1


async def test_a_full_router_is_asked_again_when_it_said_so(connected: Connect) -> None:
    handle = Handle(BackpressureError("full", 0.0), BackpressureError("full", 0.01))
    [output] = await connected(handle).ascore([Sample(response="a")])
    assert output.score == 1.0
    assert len(handle.calls) == 3


async def test_a_router_that_stays_full_beyond_the_deadline_rejects_the_samples(connected: Connect) -> None:
    handle = Handle(BackpressureError("full", 1e9))
    [output] = await connected(handle).ascore([Sample(response="a")])
    assert output.failure is not None
    assert output.failure.kind == "rejected"


async def test_an_error_of_the_service_fails_the_samples_at_once(connected: Connect) -> None:
    handle = Handle(ValueError("broken"))
    [output] = await connected(handle).ascore([Sample(response="a")])
    assert output.failure is not None
    assert "ValueError: broken" in output.failure.message
    assert len(handle.calls) == 1


async def test_closing_cancels_what_is_under_way(connected: Connect) -> None:
    handle = Handle(is_held=True)
    client = connected(handle)
    call = asyncio.create_task(client.ascore([Sample(response="a")]))
    for _ in range(5):
        await asyncio.sleep(0)
    await client.aclose()
    [output] = await call
    assert output.failure is not None
    assert output.failure.kind.value == "cancelled"
    assert handle.cancelled_count == 1


async def test_a_deadline_that_passes_cancels_the_call_under_way(connected: Connect) -> None:
    handle = Handle(is_held=True)
    [output] = await connected(handle).ascore([Sample(response="a")], timeout_s=0.0)
    assert output.failure is not None
    assert output.failure.kind.value == "timeout"
    for _ in range(5):
        await asyncio.sleep(0)
    assert handle.cancelled_count == len(handle.calls)


async def test_a_call_that_somebody_still_waits_for_is_not_cancelled(connected: Connect) -> None:
    handle = Handle(is_held=True)
    client = connected(handle)
    staying = asyncio.create_task(client.ascore([Sample(response="a")]))
    leaving = asyncio.create_task(client.ascore([Sample(response="b")]))
    for _ in range(5):
        await asyncio.sleep(0)
    leaving.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (len(handle.calls), handle.cancelled_count) == (1, 0)
    staying.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert handle.cancelled_count == 1


def test_works_for_code_that_is_not_async_and_lists(connected: Connect) -> None:
    with connected(Handle()) as client:
        assert client.score([{"response": "abc"}])[0].score == 3.0
        assert client.rewards() == [RewardInfo("r", "ready")]


async def test_travels_to_another_process_without_its_calls(connected: Connect) -> None:
    client = connected(Handle())
    await client.ascore([Sample(response="a")])
    twin = pickle.loads(pickle.dumps(client))
    assert (await twin.ascore([Sample(response="ab")]))[0].score == 2.0


def test_without_a_cluster_it_says_what_to_do() -> None:
    with pytest.raises(ServiceUnavailableError, match=r"call ray.init\(address='auto'\) first"):
        HandleClient()
