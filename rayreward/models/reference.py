"""The plain forward: one unit at a time, at its true length, by the trunk's own attention. What all others must equal.

What arrives: units. What leaves: a reading or an exception for each, in order. No packing, no padding, nothing shared,
so that nothing beside a unit can reach its score. It is what backends are compared with, and a backend itself where
exactness counts more than speed, or where nothing else runs a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.stepping import SteppedBackend
from rayreward.models.units import mark_positions, read_rows


class PlainTrunk:
    """A trunk as it is.

    Attributes:
        vocabulary: ids are below it.
    """

    def __init__(self, trunk: Any) -> None:
        self._trunk, self._device = trunk, next(trunk.parameters()).device
        self.vocabulary = int(trunk.get_input_embeddings().weight.shape[0])

    def run(self, unit: ModelInput) -> Any:
        """Hidden rows [T, H], in the trunk's dtype."""
        import torch

        ids = torch.tensor([unit.ids], device=self._device)
        segments = {"token_type_ids": torch.tensor([unit.segments], device=self._device)} if unit.segments else {}
        return self._trunk(input_ids=ids, attention_mask=torch.ones_like(ids), **segments).last_hidden_state[0]


class PlainBackend(SteppedBackend[PlainTrunk]):
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

    _takes_segments = True

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_length: int = 4096,
    ) -> None:
        super().__init__(trunk_and_head, device=device, dtype=dtype, max_step_tokens=max_length, max_length=max_length)

    def cost(self, unit: ModelInput) -> int:
        """All of its tokens."""
        return len(unit.ids)

    def _prepare(self, trunk: Any) -> PlainTrunk:
        self.max_step_tokens = self.max_length  # one unit of the longest
        return PlainTrunk(trunk)

    def _plan(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[list[int]]:
        return [[at] for at in step]

    def _tokens(self, units: Sequence[ModelInput], step: Sequence[int]) -> int:
        return sum(len(units[at].ids) for at in step)

    def _run(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        import torch

        trunk, head = self._loaded()
        [unit] = units
        positions = mark_positions(units, head.marks)
        with torch.inference_mode():
            hidden_T_H = trunk.run(unit)
            rows = {mark: hidden_T_H[list(of_units[0])].float() for mark, of_units in positions.items()}
            return read_rows(head, rows, positions, [len(unit.ids)])
