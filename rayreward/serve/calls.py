"""Calls of Serve handles: cancelled when their caller leaves, sent again when a replica is lost.

Scoring is idempotent, so a call whose replica died is simply made again; an error of the reward itself never is. A
call during which a replica's model was lost is made again once: if the next model is lost too, it may be the call that
does it, and a third one would be lost for nothing.

What a call carries decides how it travels. Up to `DIRECT_MAX_BYTES` it goes straight to the replica (Serve's gRPC
transport), which takes half of the CPU that Ray's object store does: 5.9 ms against 13.4 for 256 samples of 2 KB, 9.3
against 17.5 for 512, 1.6 against 4.0 for nothing (Ray 2.55, client and replica together, on a busy machine).
Larger calls, calls whose answer was too large, and whatever is sent again go through the object store: it has no limit.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import weakref
from typing import Any

import cloudpickle

from rayreward.batches import DIRECT_MAX_BYTES
from rayreward.errors import ServiceUnavailableError
from rayreward.serve.lost_model import ModelLostError

_RETRY_PAUSES_S = (0.0, 0.2, 1.0, 3.0)
"""Before each further attempt: a replica that is replaced is back after one to three seconds."""

_answers_largely: weakref.WeakSet[Any] = weakref.WeakSet()
"""Handles of which an answer once was too large for gRPC: asked that way again, each would be scored twice."""


class _Packed:
    """A list that is pickled already, so that its size is known; it arrives as the list."""

    def __init__(self, values: list[Any]) -> None:
        self.blob: bytes = cloudpickle.dumps(values, protocol=5)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.blob,)


def route_here(handle: Any) -> None:
    """Have the calls of a handle that nobody has used yet be routed on the running event loop, not on Serve's thread.

    The loop owns the handle from now on, so it should live as long as its process. In the router, whose loop answers
    HTTP, the two threads wait for one another: without the second one it answers a fifth more requests a second (64 and
    256 at once, Ray 2.55).
    """
    handle._init(_run_router_in_separate_loop=False)


async def call_handle(handle: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a handle's method.

    Raises:
        ServiceUnavailableError: every attempt lost its replica, or two of them its model.
    """
    from grpc import StatusCode
    from grpc.aio import AioRpcError
    from ray.exceptions import ActorDiedError, ActorUnavailableError

    packed = [_Packed(arg) if isinstance(arg, list) else arg for arg in args]
    is_direct = _may_go_directly(handle, packed)
    lost: Exception | None = None
    has_lost_a_model = False
    for pause_s in (None, *_RETRY_PAUSES_S):
        if pause_s is not None:
            await asyncio.sleep(pause_s)
        response = handle.options(method_name=method, _by_reference=not is_direct).remote(*packed, **kwargs)
        try:
            return await response
        except (ActorDiedError, ActorUnavailableError) as error:
            lost = error
        except ModelLostError as error:
            if has_lost_a_model:
                raise
            lost, has_lost_a_model = error, True
            kwargs.pop("replica", None)  # the one that was named is about to end
        except AioRpcError as error:
            if error.code() is not StatusCode.RESOURCE_EXHAUSTED:
                raise
            lost = error
            _answers_largely.add(handle)
        except asyncio.CancelledError:
            response.cancel()
            raise
        is_direct = False
    attempts = len(_RETRY_PAUSES_S) + 1
    raise ServiceUnavailableError(f"the replica was lost in each of {attempts} attempts: {lost}") from lost


def _may_go_directly(handle: Any, args: list[Any]) -> bool:
    """Whether the call fits into a message; a cluster that encrypts keeps to Ray's own connections."""
    size_bytes = sum(len(arg.blob) for arg in args if isinstance(arg, _Packed))
    return size_bytes <= DIRECT_MAX_BYTES and handle not in _answers_largely and os.environ.get("RAY_USE_TLS") != "1"
