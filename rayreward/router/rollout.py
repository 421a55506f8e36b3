"""Which of two versions of a reward scores a prompt.

What arrives: who asks, and which prompt or group its sample is of. What leaves: the slot that answers it, and whether
the other one scores it too, unseen. It promises that all siblings of a prompt meet one version, whatever request they
come in, on every router and after every restart: the choice is a hash of caller and group (or prompt), never a draw. A
group whose samples were scored by two rewards would have false advantages. A share that grows only moves prompts to the
candidate, none back.

Only a change of the shares themselves, or a promotion, can fall between two siblings that are asked apart.

Pure: a change of versions is a new value, or an error that says from where it cannot be made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from rayreward.errors import InvalidInputError, RolloutError
from rayreward.router.affinity import prompt_key
from rayreward.router.comparison import ShadowComparison
from rayreward.sample import Sample
from rayreward.types import RewardInfo
from rayreward.wire import VersionsChangeBody

Slot = Literal["base", "candidate"]
"""A place in the configuration: the reward's own, or its candidate's. A promotion exchanges who answers, not places."""

_POINTS = 2**32
"""A prompt's place on the line of shares is one of so many; a ten-thousandth of a percent can be told apart."""


class Assignment(NamedTuple):
    """What becomes of one sample.

    Attributes:
        slot: whose output is the answer.
        is_shadowed: whether the candidate scores it too; never where the candidate answers.
    """

    slot: Slot
    is_shadowed: bool


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a reward stands between its base and its candidate.

    Attributes:
        live: who answers every prompt that is nobody's share.
        canary_percent: of the prompts, which the candidate answers while the base is live.
        shadow_percent: of the prompts, which the candidate scores too while the base answers them.

    Example:
        >>> rollout = Rollout(canary_percent=100)
        >>> rollout.assign("ppo-1", Sample(prompt="2 + 2?", response="4")).slot
        'candidate'
        >>> rollout.promote()
        Rollout(live='candidate', canary_percent=0.0, shadow_percent=0.0)
    """

    live: Slot = "base"
    canary_percent: float = 0.0
    shadow_percent: float = 0.0

    @property
    def previous(self) -> Slot | None:
        """Who was live before, and would be again after `roll_back`."""
        return "base" if self.live == "candidate" else None

    @property
    def is_split(self) -> bool:
        """Whether samples must be looked at: some prompts are not only the live version's."""
        return self.canary_percent > 0 or self.shadow_percent > 0

    def assign(self, caller: str, sample: Sample) -> Assignment:
        """What becomes of a caller's sample; the same for all its siblings."""
        if not self.is_split:
            return Assignment(self.live, False)
        percent = place_percent(caller, sample)
        if percent < self.canary_percent:
            return Assignment("candidate", False)
        return Assignment("base", percent >= 100.0 - self.shadow_percent)  # from the other end: the two meet last

    def promote(self) -> Rollout:
        """The candidate answers everything; promoted once more, it still does."""
        return Rollout(live="candidate")

    def roll_back(self) -> Rollout:
        """The version that was live before answers everything, and the candidate waits.

        Raises:
            RolloutError: there is nothing to go back to.
        """
        if self.previous is None:
            raise RolloutError(
                f"nothing can be rolled back: the configured version is live, with a canary of "
                f"{self.canary_percent:g} %; to take the candidate's prompts away set canary_percent to 0"
            )
        return Rollout(live=self.previous)

    def with_canary(self, percent: float) -> Rollout:
        """The candidate answers another share of the prompts.

        Raises:
            InvalidInputError: the share is none.
            RolloutError: the candidate answers everything already.
        """
        return replace(self._waiting("canary"), canary_percent=_checked("canary_percent", percent))

    def with_shadow(self, percent: float) -> Rollout:
        """The candidate scores another share of the prompts unseen.

        Raises:
            InvalidInputError: the share is none.
            RolloutError: the candidate answers everything already.
        """
        return replace(self._waiting("shadow"), shadow_percent=_checked("shadow_percent", percent))

    def changed(self, change: VersionsChangeBody) -> Rollout:
        """What somebody asks for.

        Raises:
            InvalidInputError: the change contradicts itself, or a share is none.
            RolloutError: it cannot be made from here.
        """
        shares = {"canary_percent": change.canary_percent, "shadow_percent": change.shadow_percent}
        given = [name for name, percent in shares.items() if percent is not None]
        if change.action != "set":
            if given:
                raise InvalidInputError(f"{change.action} takes no {given[0]}: it gives one version all prompts")
            return self.promote() if change.action == "promote" else self.roll_back()
        if not given:
            raise InvalidInputError("set needs canary_percent, shadow_percent or both, found neither")
        after = self
        if change.canary_percent is not None:
            after = after.with_canary(change.canary_percent)
        if change.shadow_percent is not None:
            after = after.with_shadow(change.shadow_percent)
        return after

    def _waiting(self, what: str) -> Rollout:
        if self.live == "candidate":
            raise RolloutError(
                f"a {what} share is the candidate's, found the candidate live already; roll it back first, or "
                f"configure a new candidate"
            )
        return self


@dataclass(frozen=True, slots=True)
class RewardVersions:
    """What a service says of one reward's versions.

    Attributes:
        live: who answers every prompt that is nobody's share; its name is its deployment's.
        candidate: who waits to be promoted; None where there is none, or it is live.
        previous: who was live before the promotion, and would be again.
        canary_percent: of the prompts, answered by the candidate.
        shadow_percent: of the prompts, scored by the candidate too.
        shadow: what those scores say; None where no candidate is configured.
    """

    reward: str
    live: RewardInfo
    candidate: RewardInfo | None = None
    previous: RewardInfo | None = None
    canary_percent: float = 0.0
    shadow_percent: float = 0.0
    shadow: ShadowComparison | None = None


def place_percent(caller: str, sample: Sample) -> float:
    """Where a sample's prompt lies between 0 and 100: the same for all its siblings, and as if by chance.

    Example:
        >>> one, other = (Sample(prompt="2 + 2?", response=response) for response in ("4", "5"))
        >>> place_percent("ppo-1", one) == place_percent("ppo-1", other)
        True
    """
    digest = hashlib.blake2b(f"{caller}\0{prompt_key(sample)}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest) * 100.0 / _POINTS


def _checked(name: str, percent: float) -> float:
    if not 0 <= percent <= 100:
        raise InvalidInputError(f"{name} is a share of the prompts from 0 to 100, found {percent}")
    return float(percent)
