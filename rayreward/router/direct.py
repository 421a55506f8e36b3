"""What a lane has in place of a queue where its reward runs in the router's own process, on its event loop.

What arrives: `score` calls. What leaves: one output a sample, in order, at once. There is nobody to wait for: a call
costs no more than a function's, and the reward is done before anyone else could join. A queue in front of it took five
times as long as a trivial reward itself.

A sync reward cannot be interrupted here, so no deadline is kept; between parts of a large call others have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from rayreward.batches import OutputBatch
from rayreward.outcome import failed_output, to_outputs
from rayreward.router.batching import Waiting
from rayreward.router.coalescer import CoalescerStats, Send
from rayreward.router.sizing import USUAL_SAMPLES, Spread
from rayreward.sample import Sample
from rayreward.types import RewardOutput


class Direct:
    """Scores at once; it has the interface of `Coalescer`.

    Args:
        send: scores samples in this process.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.stats = CoalescerStats()
        self.waiting, self.waiting_count = Waiting(), 0

    def score(
        self, samples: Sequence[Sample], *, timeout_s: float | None = None, rank: int = 0, caller: str = ""
    ) -> Coroutine[Any, Any, list[RewardOutput]]:
        """One output a sample, in order."""
        return self._part(samples) if len(samples) <= USUAL_SAMPLES else self._parts(samples)

    async def _parts(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        outputs: list[RewardOutput] = []
        for start in range(0, len(samples), USUAL_SAMPLES):
            outputs += await self._part(samples[start : start + USUAL_SAMPLES])
            await asyncio.sleep(0)
        return OutputBatch(outputs)

    async def _part(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        try:
            outputs = to_outputs(await self._send(list(samples)), len(samples))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever broke the call is a failure of its samples
            outputs = [failed_output(error)] * len(samples)
        self.stats.batch_count += 1
        self.stats.count(outputs)
        return outputs

    def take_turns(self, takes_turns: bool) -> None:
        """It does."""

    def limit_tokens(self, call_tokens: int | None) -> None:
        """It makes no calls."""

    def resize(self, slot_count: int, spread: Spread | None = None) -> None:
        """It has no slots."""

    async def close(self) -> None:
        """Nothing is under way between two turns of the loop."""
