"""Two versions of one reward, side by side: a lane of lanes.

What arrives: admitted samples. What leaves: one output a sample, in order, each stamped with the version that scored
it. A `Rollout` says which version answers a prompt; the candidate's canary answers like the base, its shadows answer
nobody. A change of versions takes effect with the next call, once it is kept where it survives this process; what is
under way ends with the version that it began with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rayreward.errors import RolloutError
from rayreward.router.lane import Lane
from rayreward.router.prescale import Prescaled
from rayreward.router.rollout import RewardVersions, Rollout, Slot
from rayreward.router.shadows import Shadows, Tell
from rayreward.router.stats import LaneStats
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.types import RewardInfo, RewardOutput
from rayreward.wire import VersionsChangeBody

Keep = Callable[[Rollout], Awaitable[None]]
"""Writes down where a reward stands; a change that cannot be kept is not made."""


async def _keep_nothing(_rollout: Rollout) -> None:
    return


class VersionedLane:
    """A reward with a candidate.

    Args:
        base: the lane of the configured reward.
        candidate: of its candidate.
        rollout: where they stand.
        tell: is told what the candidate's shadows have scored.
        keep: writes each change down before it takes effect.
    """

    def __init__(
        self, base: Lane, candidate: Lane, rollout: Rollout, *, tell: Tell, keep: Keep = _keep_nothing
    ) -> None:
        self._lanes: dict[Slot, Lane] = {"base": base, "candidate": candidate}
        self._keep, self._tell = keep, tell
        self._rollout = rollout
        self._shadows = self._new_shadows()
        self._changing = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether replicas have loaded all that answers callers."""
        return all(lane.is_ready for lane in self._answering)

    @property
    def can_sleep(self) -> bool:
        """Whether what is not ready may have no replica where nothing is asked for."""
        return all(lane.is_ready or lane.can_sleep for lane in self._answering)

    def parts(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]] | None:
        """As the live version has them: its candidate is the same reward."""
        return self._live.parts(samples)

    async def score(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        """One output a sample, in order."""
        rollout, shadows = self._rollout, self._shadows
        if not rollout.is_split:
            return await self._lanes[rollout.live].score(samples, terms)
        assigned = [rollout.assign(terms.caller, sample) for sample in samples]
        outputs = await self._score_apart(samples, [one.slot for one in assigned], terms)
        shadowed = [at for at, one in enumerate(assigned) if one.is_shadowed]
        if shadowed:
            shadows.start([samples[at] for at in shadowed], [outputs[at] for at in shadowed], terms)
        return outputs

    async def close(self) -> None:
        """Take nothing more; what is under way fails as `cancelled`."""
        await self._shadows.close()
        for lane in self._lanes.values():
            await lane.close()

    def info(self, name: str) -> RewardInfo:
        """What is said of the live version in public, and that there is another one."""
        live, candidate = self._live.info(name), self._lanes["candidate"]
        extra = {
            **live.extra,
            "live": self._rollout.live,
            "candidate_version": candidate.version,
            "canary_percent": self._rollout.canary_percent,
            "shadow_percent": self._rollout.shadow_percent,
        }
        is_starting = not (self.is_ready or self.can_sleep)
        state = "starting" if is_starting else live.state
        return RewardInfo(live.name, state, live.version, live.description, live.replicas, extra)

    def all_stats(self, name: str) -> list[LaneStats]:
        """What is going on, in each version's lane."""
        return [self._lanes[slot].stats(_named(name, slot)) for slot in ("base", "candidate")]

    def prescale(self, name: str, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for replicas of the live version.

        Raises:
            InvalidInputError: their number is fixed.
        """
        return self._live.prescale(name, replicas, for_s=for_s)

    def versions(self, name: str) -> RewardVersions:
        """Which versions there are, and who meets which."""
        rollout = self._rollout
        infos = {slot: lane.info(_named(name, slot)) for slot, lane in self._lanes.items()}
        return RewardVersions(
            reward=name,
            live=infos[rollout.live],
            candidate=infos["candidate"] if rollout.live == "base" else None,
            previous=None if rollout.previous is None else infos[rollout.previous],
            canary_percent=rollout.canary_percent,
            shadow_percent=rollout.shadow_percent,
            shadow=self._shadows.comparison,
        )

    async def change(self, name: str, change: VersionsChangeBody) -> RewardVersions:
        """Another version, or another share of the prompts, from the next call on.

        Raises:
            RolloutError: it cannot be made from where the versions stand, or the candidate cannot answer yet.
            InvalidInputError: the change contradicts itself.
        """
        async with self._changing:
            before, after = self._rollout, self._rollout.changed(change)
            if after.live == "candidate" or after.canary_percent > before.canary_percent:
                self._check_candidate(name)
            await self._keep(after)
            self._rollout = after
            if after.live != before.live:
                await self._shadows.close()
                self._shadows = self._new_shadows()
        return self.versions(name)

    @property
    def _live(self) -> Lane:
        return self._lanes[self._rollout.live]

    @property
    def _answering(self) -> list[Lane]:
        """The live version, and a canary beside it."""
        return [self._live, *([self._lanes["candidate"]] if self._rollout.canary_percent > 0 else [])]

    def _new_shadows(self) -> Shadows:
        return Shadows(self._lanes["candidate"].score, tell=self._tell)

    def _check_candidate(self, name: str) -> None:
        candidate = self._lanes["candidate"]
        state = candidate.state
        if not candidate.is_ready or state == "unhealthy":
            raise RolloutError(
                f"reward {name!r}: its candidate is {state}, and nobody knows whether it can answer; ask again when "
                f"it has loaded (a shadow wakes one that sleeps), or look at its replicas' logs"
            )

    async def _score_apart(self, samples: Sequence[Sample], slots: Sequence[Slot], terms: Terms) -> list[RewardOutput]:
        """Each version scores its own samples, both at once."""
        if slots.count(slots[0]) == len(slots):
            return await self._lanes[slots[0]].score(samples, terms)
        positions = {slot: [at for at, one in enumerate(slots) if one == slot] for slot in self._lanes}
        scored = await asyncio.gather(
            *(self._lanes[slot].score([samples[at] for at in own], terms) for slot, own in positions.items())
        )
        by_position = {
            at: output
            for own, outputs in zip(positions.values(), scored, strict=True)
            for at, output in zip(own, outputs, strict=True)
        }
        return [by_position[at] for at in range(len(samples))]


def _named(name: str, slot: Slot) -> str:
    """As the version's deployment is called."""
    return name if slot == "base" else f"{name}.candidate"
