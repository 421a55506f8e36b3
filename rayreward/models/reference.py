"""The plain forward: one unit at a time, at its true length, by the trunk's own attention. What all others must equal.

What arrives: units. What leaves: a reading or an exception for each, in order. No packing, no padding, nothing shared,
so that nothing beside a unit can reach its score. It is what backends are compared with, and a backend itself where
exactness counts more than speed, or where nothing else runs a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.memory import is_out_of_memory, release_cached
from rayreward.models.placing import is_device_lost, place
from rayreward.models.positions import position_limit
from rayreward.models.units import mark_positions, read_rows, refusal


class PlainBackend:
    """A `Backend` that runs one unit a step.

    Args:
        trunk_and_head: loads both; called once, by `load`. The trunk must not have been packed.
        device: "cuda", "cpu", …; by default CUDA where there is one.
        dtype: "bfloat16", "float16" or "float32"; by default the trunk stays as it was loaded.
        max_length: of a unit; never more than the model has positions for.

    Example:
        >>> PlainBackend(lambda: load_checkpoint("OpenAssistant/reward-model-deberta-v3-large-v2")).steps_overlap
        False
    """

    steps_overlap = False

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_length: int = 4096,
    ) -> None:
        self._trunk_and_head, self._device, self._dtype = trunk_and_head, device, dtype
        self.max_length = max_length
        self._trunk: Any = None
        self._head: Head | None = None

    @property
    def max_step_tokens(self) -> int:
        """One unit of the longest."""
        return self.max_length

    def load(self) -> None:
        """Read the weights, once."""
        if self._trunk is None:
            trunk, self._head = place(*self._trunk_and_head(), device=self._device, dtype=self._dtype)
            self.max_length = min(self.max_length, position_limit(trunk.config) or self.max_length)
            self._trunk = trunk

    def cost(self, unit: ModelInput) -> int:
        """All of its tokens."""
        return len(unit.ids)

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order.

        Raises:
            Exception: the device is lost.
        """
        return [self._score_one(unit) for unit in units]

    def close(self) -> None:
        """Let go of the weights, and of what the device keeps."""
        self._trunk = self._head = None
        release_cached()

    def _score_one(self, unit: ModelInput) -> Reading | Exception:
        if self._trunk is None or self._head is None:
            raise RewardLoadError("the plain backend is not loaded: call load() before score()")
        vocabulary = int(self._trunk.get_input_embeddings().weight.shape[0])
        refused = refusal(
            unit, max_length=self.max_length, vocabulary=vocabulary, marks=self._head.marks, takes_segments=True
        )
        if refused is not None:
            return refused
        try:
            return self._run(unit, self._head)
        except Exception as error:  # the boundary: all that torch and a model's own code may raise
            if is_device_lost(error):
                raise
            if not is_out_of_memory(error):
                return error.with_traceback(None)
        release_cached()
        return MemoryError(
            f"a unit of {len(unit.ids)} tokens does not fit on the device beside the model: lower max_length, or give "
            f"the model more memory"
        )

    def _run(self, unit: ModelInput, head: Head) -> Reading | Exception:
        import torch

        device = next(self._trunk.parameters()).device
        positions = mark_positions([unit], head.marks)
        with torch.inference_mode():
            ids = torch.tensor([unit.ids], device=device)
            segments = {"token_type_ids": torch.tensor([unit.segments], device=device)} if unit.segments else {}
            answer = self._trunk(input_ids=ids, attention_mask=torch.ones_like(ids), **segments)
            hidden_T_H = answer.last_hidden_state[0]
            rows = {mark: hidden_T_H[list(of_units[0])].float() for mark, of_units in positions.items()}
            return read_rows(head, rows, positions, [len(unit.ids)])[0]
