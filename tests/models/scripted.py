"""A backend under the real interface that a test steps by hand: no model, no tokens but those in the units."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rayreward.models.inputs import ModelInput, Reading


class ScriptedBackend:
    """Scores a unit by its last id; holds each call until the test lets it go, where it is told to.

    Attributes:
        calls: the units of each call to `score`, in order.
        started: released once a call.
        go: what a held call waits for, once a call.
        lost: see `Backend`.
    """

    def __init__(
        self,
        *,
        max_step_tokens: int = 8,
        steps_overlap: bool = False,
        held: bool = False,
        script: Callable[[ModelInput], Reading | Exception] | None = None,
    ) -> None:
        self.max_step_tokens, self.max_length, self.steps_overlap = max_step_tokens, 1024, steps_overlap
        self.calls: list[list[ModelInput]] = []
        self.started, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.dies_with: BaseException | None = None
        self.loaded_count = self.closed_count = 0
        self._held, self._script = held, script
        self.lost: str | None = None

    def load(self) -> None:
        """Count."""
        self.loaded_count += 1

    def cost(self, unit: ModelInput) -> int:
        """As a backend that shares prompts."""
        return len(unit.ids) - unit.prefix_tokens

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """The last id of each, or what the script says."""
        self.calls.append(list(units))
        self.started.release()
        if self._held:
            assert self.go.acquire(timeout=30), "the test let the backend wait for ever"
        if self.dies_with is not None:
            raise self.dies_with
        return [self._script(unit) if self._script else reading(unit) for unit in units]

    def close(self) -> None:
        """Count."""
        self.closed_count += 1


def reading(unit: ModelInput) -> Reading:
    """Its last id as score."""
    return Reading(raw=float(unit.ids[-1]), score=float(unit.ids[-1]), computed_tokens=len(unit.ids))


def unit(*ids: int, prefix: int = 0) -> ModelInput:
    """A unit of these ids."""
    return ModelInput(ids, prefix)
