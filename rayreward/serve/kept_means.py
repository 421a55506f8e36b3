"""The means of the trainings under way, kept for the router that comes after this one.

What arrives: by reward and run, the mean of the latest scores. What leaves: the same, in another process: a sample that
fails just after a router was lost is told what its run's samples usually get, and not the 0 of a run that nobody knows.
Its siblings' own scores are not kept: they change with every sample, and a run's mean stands in for them.

It is kept where `rayreward.serve.kept` keeps rollouts; without that store everything works but this.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

_log = logging.getLogger(__name__)

_NAMESPACE = b"rayreward"

_KEEP_PAUSE_S = 2.0
"""Between two writes, each of some kilobytes at most: a run younger than this is not known to the next router."""

_LIFE_S = 600.0
"""What is older is of a run that has ended, or of scores on another scale."""

Means = dict[str, dict[str, float]]
"""By reward, by run."""


class _Entry(msgspec.Struct):
    """What is written, and when, by the clock on the wall: the reader is another process."""

    written_s: float
    means: Means


class KeptMeans:
    """The means of one application.

    Args:
        app: its name in Serve.
        now: the clock on the wall, in seconds.
    """

    def __init__(self, app: str, *, now: Callable[[], float] = time.time) -> None:
        self._key, self._now = f"means/{app}".encode(), now
        self._kept: Means = {}

    async def load(self) -> Means:
        """What the router before this one knew; nothing where that is long ago, or nobody kept it."""
        try:
            from ray.experimental.internal_kv import _internal_kv_get

            found: bytes | None = await asyncio.to_thread(_internal_kv_get, self._key, namespace=_NAMESPACE)
            entry = None if found is None else msgspec.json.decode(found, type=_Entry)
        except Exception as error:  # noqa: BLE001 - the boundary: a private store, which another version may have filled
            _log.warning("the means of earlier trainings cannot be read (%s): each starts anew", error)
            return {}
        if entry is None or self._now() - entry.written_s > _LIFE_S:
            return {}
        return entry.means

    async def keep(self, means: Means) -> None:
        """Write them, where they are others than the last time."""
        if means == self._kept:
            return
        entry = msgspec.json.encode(_Entry(self._now(), means))
        try:
            from ray.experimental.internal_kv import _internal_kv_put

            await asyncio.to_thread(_internal_kv_put, self._key, entry, namespace=_NAMESPACE)
        except Exception as error:  # noqa: BLE001 - the boundary: scores are given without it
            _log.warning("the means of the trainings under way are not kept: %s", error)
        self._kept = means

    async def keep_on(self, means: Callable[[], Means]) -> None:
        """Write them from time to time."""
        while True:
            await asyncio.sleep(_KEEP_PAUSE_S)
            await self.keep(means())
