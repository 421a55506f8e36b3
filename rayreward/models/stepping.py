"""What backends share that run a trunk step by step: loading it, the budget, and what becomes of a step that fails.

What arrives: a trunk and a head, then units. What leaves: a reading or an exception for each, in order. It promises:
steps of at most `max_step_tokens`, planned from whatever is there, never waiting; a step that runs out of memory halves
that budget, once and for all, and is tried again in smaller steps, with a warning; a unit that does not fit alone, that
breaks the model or that it answers with NaN fails alone; a lost device stops all.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from rayreward.errors import RewardLoadError
from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.memory import is_out_of_memory, release_cached
from rayreward.models.placing import is_device_lost, place
from rayreward.models.positions import position_limit
from rayreward.models.units import refusal

_log = logging.getLogger(__name__)


class PreparedTrunk(Protocol):
    """A trunk as its backend runs it.

    Attributes:
        vocabulary: ids are below it.
    """

    vocabulary: int


TrunkT = TypeVar("TrunkT", bound=PreparedTrunk)


class SteppedBackend(ABC, Generic[TrunkT]):
    """The part of a `Backend` that loads a trunk, and plans, runs and repeats steps. Not for several threads at once.

    Args:
        trunk_and_head: loads both; called once, by `load`. The trunk is a model of transformers without its head.
        device: "cuda", "cuda:1", "cpu"; by default CUDA where there is one.
        dtype: "bfloat16", "float16" or "float32"; by default the trunk stays as it was loaded.
        max_step_tokens: see `Backend`; falls where the device has too little memory.
        max_length: see `Backend`; never more than the model has positions for.
    """

    steps_overlap = False
    lost: str | None = None  # a device's failure is noticed when it is asked

    _takes_segments = False
    """Whether token type ids reach the trunk."""

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None,
        dtype: str | None,
        max_step_tokens: int,
        max_length: int,
    ) -> None:
        self._trunk_and_head, self._device, self._dtype = trunk_and_head, device, dtype
        self.max_step_tokens, self.max_length = max_step_tokens, max_length
        self._trunk: TrunkT | None = None
        self._head: Head | None = None

    @abstractmethod
    def _prepare(self, trunk: Any) -> TrunkT:
        """The trunk, on its device, as this backend runs it; refused where it cannot."""

    @abstractmethod
    def _plan(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[list[int]]:
        """Steps that hold the units at these positions, each within the budget or of one unit."""

    @abstractmethod
    def _tokens(self, units: Sequence[ModelInput], step: Sequence[int]) -> int:
        """What the device works through in a step."""

    @abstractmethod
    def _run(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One forward pass."""

    def load(self) -> None:
        """Read the weights, once, and prepare the trunk.

        Raises:
            RewardLoadError: it does not fit on the device, or this backend cannot run it.
        """
        if self._trunk is not None:
            return
        trunk, head = place(*self._trunk_and_head(), device=self._device, dtype=self._dtype)
        self.max_length = min(self.max_length, position_limit(trunk.config) or self.max_length)
        self._trunk, self._head = self._prepare(trunk), head

    def close(self) -> None:
        """Let go of the weights, and of what the device keeps."""
        self._trunk = self._head = None
        release_cached()

    def _loaded(self) -> tuple[TrunkT, Head]:
        if self._trunk is None or self._head is None:
            raise RewardLoadError(f"{type(self).__name__} is not loaded: call load() before score()")
        return self._trunk, self._head

    def _refusal(self, unit: ModelInput) -> Exception | None:
        """Why a unit cannot be scored."""
        trunk, head = self._loaded()
        return refusal(
            unit,
            max_length=self.max_length,
            vocabulary=trunk.vocabulary,
            marks=head.marks,
            takes_segments=self._takes_segments,
        )

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order.

        Raises:
            Exception: whatever broke a unit, where the model cannot compute a single token any more either.
        """
        answers: list[Reading | Exception | None] = [self._refusal(unit) for unit in units]
        pending = deque(self._plan(units, [at for at, answer in enumerate(answers) if answer is None]))
        while pending:
            step = pending.popleft()
            if len(step) > 1 and self._tokens(units, step) > self.max_step_tokens:  # it fell since the step was planned
                pending.extendleft(reversed(self._plan(units, step)))
                continue
            answered = self._try_step([units[at] for at in step])
            if answered is not None:
                for at, answer in zip(step, answered, strict=True):
                    answers[at] = answer
            elif len(step) > 1:
                self._halve(self._tokens(units, step))
                pending.appendleft(step)
            else:
                answers[step[0]] = _too_large(units[step[0]])
        return [answer if answer is not None else _unanswered() for answer in answers]

    def _halve(self, step_tokens: int) -> None:
        """Lower the budget for good, so that a step like this one is never tried again."""
        before, self.max_step_tokens = self.max_step_tokens, max(1, min(self.max_step_tokens, step_tokens) // 2)
        _log.warning(
            "a step of %d tokens ran out of memory: steps carry at most %d tokens from now on (before: %d), and its "
            "units are tried again in smaller steps; set max_step_tokens lower to avoid this",
            step_tokens, self.max_step_tokens, before,
        )  # fmt: skip

    def _try_step(self, units: Sequence[ModelInput]) -> list[Reading | Exception] | None:
        """The step's answers, or None where it ran out of memory. What breaks a step breaks one of its units."""
        try:
            return self._run(units)
        except Exception as error:  # the boundary: all that torch and a model's own code may raise
            if is_device_lost(error):
                raise
            failure = None if is_out_of_memory(error) else error.with_traceback(None)
        if failure is None:
            release_cached()
            return None
        if len(units) > 1:
            alone = [(unit, self._try_step([unit])) for unit in units]
            return [_too_large(unit) if answered is None else answered[0] for unit, answered in alone]
        self._check_alive(failure)
        return [failure]

    def _check_alive(self, failure: Exception) -> None:
        """Raise `failure` where not even a single token can be computed any more."""
        try:
            self._run([ModelInput((0,), marks=dict.fromkeys(self._loaded()[1].marks, (0,)))])
        except Exception as error:
            raise failure from error


def _too_large(unit: ModelInput) -> MemoryError:
    return MemoryError(
        f"a unit of {len(unit.ids)} tokens does not fit on the device beside the model, even alone: lower max_length, "
        f"or give the model more memory"
    )


def _unanswered() -> Exception:
    return RuntimeError("a backend left a unit without an answer: this is a bug in rayreward")
