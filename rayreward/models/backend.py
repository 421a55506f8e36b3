"""The seam between a reward and whatever runs its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rayreward.models.inputs import ModelInput, Reading


class Backend(Protocol):
    """Runs a reward model: packed, padded or vLLM.

    Promises: exactly one answer a unit, in order; a unit that cannot be scored is answered by the exception that says
    why, and its neighbours are scored. An exception that is raised means that the model itself is lost.

    Attributes:
        max_step_tokens: how many tokens one forward pass may carry; units are planned into steps by it.
        max_length: how many tokens one unit may have.
        steps_overlap: whether `score` may be called again while a call is under way (vLLM batches by itself).
    """

    steps_overlap: bool

    @property
    def lost(self) -> str | None:
        """Why the model is lost, where that is noticed though nobody asks; else None."""
        ...

    @property
    def max_step_tokens(self) -> int:
        """See the class; may fall where a device turns out to have too little memory."""
        ...

    @property
    def max_length(self) -> int:
        """See the class; after `load` never more than the model has positions for."""
        ...

    def load(self) -> None:
        """Read the weights, once.

        Raises:
            RewardLoadError: no such checkpoint, one that is no reward model, or weights that were never trained.
            MissingExtraError: a library is not installed.
        """
        ...

    def cost(self, unit: ModelInput) -> int:
        """Tokens that this unit adds to a step that already holds its prefix (0 shared: all of its own)."""
        ...

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order. Blocks while the device works."""
        ...

    def close(self) -> None:
        """Release the device. Called once, after the last `score`."""
        ...
