"""Asks for a deterministic reward's scores only where nobody knows them and nobody is computing them.

What arrives: samples. What leaves: one output a sample, in order: from the cache, together with a twin under way, or
from the stage behind. The asyncio shell around `ResultCache` and `Twins`: no task and no future a sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rayreward.batches import EarlyBatch
from rayreward.router.cache import CacheStats, Key, ResultCache
from rayreward.router.run_names import named
from rayreward.router.sample_key import sample_key
from rayreward.router.terms import Ask, Clock, Terms, too_late
from rayreward.router.twins import Asker, Flight, Twins
from rayreward.sample import Sample
from rayreward.types import RewardOutput


class Lookup:
    """The stage in front of a deterministic reward's queue.

    Args:
        cache: what is known.
        ask: the stage behind.
        now: the clock of deadlines, in seconds.
    """

    def __init__(self, cache: ResultCache, ask: Ask, *, now: Clock) -> None:
        self.cache, self._ask, self._now = cache, ask, now
        self._twins = Twins()
        self._led: dict[int, Flight] = {}
        self.stats = CacheStats()

    @property
    def is_leading(self) -> bool:
        """Whether samples are under way that others may wait for."""
        return bool(self._led)

    async def score(
        self, samples: Sequence[Sample], terms: Terms, *, version: str, run: str = ""
    ) -> list[RewardOutput]:
        """One output a sample, in order, by the version that is served now; `run` is told to who scores them, if any.

        No part of what is remembered: a sample's score is the same for every run.
        """
        started_s = self._now()
        keys = [None if digest is None else (version, digest) for digest in map(sample_key, samples)]
        outputs: list[RewardOutput | None] = [None] * len(samples)
        positions: Sequence[int] = range(len(samples))
        left = terms  # as it came: the queue keeps one timer for all who wait equally long
        while positions:
            asker = Asker(outputs)
            led, flights = self._look_up(keys, positions, asker, terms.priority)
            if led:
                asked = [samples[position] for position in led]
                await self._lead(named(asked, run) if run else asked, led, flights, outputs, left)
            if asker.missing:
                await self._wait(asker, terms.after(self._now() - started_s).timeout_s)
            positions = asker.left
            left = terms.after(self._now() - started_s) if positions else left
        known = [output for output in outputs if output is not None]
        if len(known) == len(outputs):
            return known
        late = too_late(terms.timeout_s)
        return [late if output is None else output for output in outputs]

    def land(self, samples: Sequence[Sample], outputs: Sequence[RewardOutput]) -> None:
        """A batch has come back: keep its scores, and answer those who wait for them.

        Called with the very objects that were asked for; samples that nobody leads are passed over, and slow ones that
        are still under way come later.
        """
        if isinstance(outputs, EarlyBatch):
            samples, outputs = outputs.known(samples), outputs.known(outputs)
        for sample, output in zip(samples, outputs, strict=True):
            flight = self._led.pop(id(sample), None)
            if flight is not None:
                version, digest = flight.key
                self.cache.put((output.version or version, digest), output)
                self._twins.land(flight, output)

    def _look_up(
        self, keys: Sequence[Key | None], positions: Sequence[int], asker: Asker, rank: int
    ) -> tuple[list[int], list[Flight | None]]:
        """Which positions must be scored, and what waits for each of them."""
        led: list[int] = []
        flights: list[Flight | None] = []
        for position in positions:
            key = keys[position]
            known = None if key is None else self.cache.get(key)
            if known is not None:
                asker.outputs[position] = known
                self.stats.hit_count += 1
                continue
            flight = None if key is None else self._twins.join(key, asker, position, rank=rank)
            if key is not None and flight is None:
                self.stats.twin_count += 1
                continue
            self.stats.miss_count += 1
            led.append(position)
            flights.append(flight)
        return led, flights

    async def _lead(
        self,
        samples: Sequence[Sample],
        positions: Sequence[int],
        flights: Sequence[Flight | None],
        outputs: list[RewardOutput | None],
        terms: Terms,
    ) -> None:
        for sample, flight in zip(samples, flights, strict=True):
            if flight is not None:
                self._led[id(sample)] = flight
        try:
            scored = await self._ask(samples, terms)
            for position, output in zip(positions, scored, strict=True):
                outputs[position] = output
        finally:  # whoever leaves hands over what it led and what did not land
            for sample, flight in zip(samples, flights, strict=True):
                if flight is not None and self._led.get(id(sample)) is flight:
                    del self._led[id(sample)]
                    self._twins.abandon(flight)

    async def _wait(self, asker: Asker, limit_s: float | None) -> None:
        """Until everything joined is settled, or the deadline has passed: what is missing then is late."""
        done = asyncio.Event()
        asker.on_done = done.set
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        except TimeoutError:
            asker.left.clear()
