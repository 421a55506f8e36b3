"""Scores samples a second time by a candidate, behind the callers' backs.

What arrives: samples that were answered, with their scores. What leaves: nothing to callers; pairs to a comparison, and
outputs to whoever logs them. It promises that an answer never waits for a shadow: shadows start after it, in the class
that goes last, and where too many are under way further ones are dropped, a prompt's siblings together, and counted.
The asyncio shell around `Comparing`: one task a call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from rayreward.grouping import positions_of_groups
from rayreward.log.record import LogRecord, RewardLog
from rayreward.router.comparison import Comparing, ShadowComparison
from rayreward.router.terms import PRIORITIES, Ask, Terms
from rayreward.sample import Sample
from rayreward.types import RewardOutput

_log = logging.getLogger(__name__)

_MAX_SAMPLES = 4096
"""Under way at once: a few batches for every replica. More only makes a slow candidate's shadows older."""

_MAX_BYTES = 256 * 2**20
"""Of texts under way at once, which would be free again if nobody shadowed."""

_LIMIT_S = 600.0
"""A shadow that has waited for so long fails as `timeout`: nobody waits for it, but it must not stay for ever."""

Tell = Callable[[Sequence[Sample], Sequence[RewardOutput], str], None]
"""Is told samples, what the candidate made of them, and whose they are."""


def telling(log: RewardLog | None, reward: str) -> Tell:
    """Writes shadows into a reward log, marked as such; a run's counts never hear of them."""

    def tell(samples: Sequence[Sample], outputs: Sequence[RewardOutput], caller: str) -> None:
        if log is not None:
            for sample, output in zip(samples, outputs, strict=True):
                log.add(LogRecord.of(reward, sample, output, run=caller or None, is_shadow=True))

    return tell


class Shadows:
    """The shadows of one candidate.

    Args:
        ask: scores by the candidate.
        tell: what is to know of each shadow.
        max_samples, max_bytes: under way at once.
    """

    def __init__(self, ask: Ask, *, tell: Tell, max_samples: int = _MAX_SAMPLES, max_bytes: int = _MAX_BYTES) -> None:
        self._ask, self._tell = ask, tell
        self._free_samples, self._free_bytes = max_samples, max_bytes
        self._comparing = Comparing()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def comparison(self) -> ShadowComparison:
        """What they have shown so far."""
        return self._comparing.comparison

    def start(self, samples: Sequence[Sample], outputs: Sequence[RewardOutput], terms: Terms) -> None:
        """Score once more what has a score; returns at once."""
        if self._is_closed:
            return
        scored = [at for at, output in enumerate(outputs) if output.score is not None]
        chosen = self._choose([samples[at] for at in scored])
        self._comparing.drop(len(scored) - len(chosen))
        if not chosen:
            return
        pairs = [(samples[scored[at]], outputs[scored[at]]) for at in chosen]
        unhurried = Terms(_LIMIT_S, PRIORITIES["batch"], terms.caller, terms.group_size)
        task = asyncio.get_running_loop().create_task(self._score(pairs, unhurried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up those that are under way, and start no more."""
        self._is_closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _choose(self, samples: Sequence[Sample]) -> list[int]:
        """Positions of those that may start now, in order: whole groups, for a part of one tells nothing."""
        chosen: list[int] = []
        for positions in positions_of_groups(samples):
            size_bytes = sum([samples[at].size_bytes for at in positions])
            if len(positions) <= self._free_samples and size_bytes <= self._free_bytes:
                self._free_samples -= len(positions)
                self._free_bytes -= size_bytes
                chosen += positions
        return sorted(chosen)

    async def _score(self, pairs: Sequence[tuple[Sample, RewardOutput]], terms: Terms) -> None:
        samples = [sample for sample, _ in pairs]
        try:
            outputs = await self._ask(samples, terms)
            for (_, answered), output in zip(pairs, outputs, strict=True):
                if answered.score is not None:
                    self._comparing.add(answered.score, output)
            self._tell(samples, outputs, terms.caller)
        except Exception:  # noqa: BLE001 - the boundary: nobody waits for this task, and an observer hurts no request
            _log.exception("%d shadow samples were lost; this is a bug in rayreward", len(samples))
        finally:
            self._free_samples += len(samples)
            self._free_bytes += sum([sample.size_bytes for sample in samples])
