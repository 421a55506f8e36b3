"""Calls of Serve handles: cancelled when their caller leaves, sent again when a replica is lost.

Scoring is idempotent, so a call whose replica died is simply made again; an error of the reward itself never is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rayreward.errors import ServiceUnavailableError

_RETRY_PAUSES_S = (0.0, 0.2, 1.0, 3.0)
"""Before each further attempt: a replica that is replaced is back after one to three seconds."""


async def call_handle(handle: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """The result of a handle's method.

    Raises:
        ServiceUnavailableError: every attempt lost its replica.
    """
    from ray.exceptions import ActorDiedError, ActorUnavailableError

    lost: Exception | None = None
    for pause_s in (None, *_RETRY_PAUSES_S):
        if pause_s is not None:
            await asyncio.sleep(pause_s)
        response = getattr(handle, method).remote(*args, **kwargs)
        try:
            return await response
        except (ActorDiedError, ActorUnavailableError) as error:
            lost = error
        except asyncio.CancelledError:
            response.cancel()
            raise
    attempts = len(_RETRY_PAUSES_S) + 1
    raise ServiceUnavailableError(f"the replica was lost in each of {attempts} attempts: {lost}") from lost
