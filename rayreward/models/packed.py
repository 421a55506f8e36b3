"""The packed backend: units end to end in one row, no padding, shared prompts computed once.

What arrives: units. What leaves: a reading or an exception for each, in order. Steps, memory and failures are
`rayreward.models.stepping`'s. The head reads in fp32 whatever the trunk computes in.

Measured by `benchmarks/models.py` (CPU) and `benchmarks/models_gpu.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from rayreward.models.cpu_linear import multiply_by_onednn
from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.layout import Layout, build_layout, prefix_of, shared_prefixes
from rayreward.models.packed_trunk import PackedTrunk
from rayreward.models.stepping import SteppedBackend
from rayreward.models.steps import UnitCost, plan_steps, tokens_of
from rayreward.models.units import mark_positions, read_rows

_log = logging.getLogger(__name__)


class PackedBackend(SteppedBackend[PackedTrunk]):
    """A `Backend` for decoders, and for encoders whose attention transformers lets us replace.

    Not for several threads at once: `score` is called by one.

    Args:
        trunk_and_head: loads both; called once, by `load`. The trunk is a model of transformers without its head.
        device: "cuda", "cuda:1", "cpu"; by default CUDA where there is one.
        dtype: "bfloat16", "float16" or "float32"; by default the trunk stays as it was loaded.
        max_step_tokens: how many tokens one forward pass may carry. 8192 fill a large GPU with an 8B model; activations
            grow with it, throughput hardly does.
        max_length: of a unit; never more than the model has positions for.
        shares_prefixes: whether siblings' prompts are computed once a step. Only causal models can.

    Raises:
        RewardLoadError: at load: the model cannot be packed (`CannotPackError`: the padded backend runs it), or does
            not fit on the device.

    Example:
        >>> backend = PackedBackend(lambda: load_checkpoint("OpenRLHF/Llama-3-8b-rm-700k"), max_step_tokens=16384)
        >>> backend.cost(ModelInput(ids=(7,) * 50, prefix_tokens=30))  # beside a sibling
        20
    """

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_step_tokens: int = 8192,
        max_length: int = 4096,
        shares_prefixes: bool = True,
    ) -> None:
        super().__init__(
            trunk_and_head, device=device, dtype=dtype, max_step_tokens=max_step_tokens, max_length=max_length
        )
        self.shares_prefixes = shares_prefixes

    def _prepare(self, trunk: Any) -> PackedTrunk:
        """Checked: packed rows are what the trunk computes of each unit alone."""
        prepared = PackedTrunk(multiply_by_onednn(trunk), max_length=self.max_length)
        self.shares_prefixes = self.shares_prefixes and prepared.is_causal
        if not prepared.uses_kernel:
            _log.info("attention runs segment by segment: no variable-length kernel for this device and dtype")
        return prepared

    def cost(self, unit: ModelInput) -> int:
        """Tokens that this unit adds to a step that already holds its prefix."""
        is_shared = self.shares_prefixes and prefix_of(unit) is not None
        return len(unit.ids) - (unit.prefix_tokens if is_shared else 0)

    def _costs(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[UnitCost]:
        chosen = [units[at] for at in step]
        prefixes = shared_prefixes(chosen) if self.shares_prefixes else [None] * len(chosen)
        return [
            UnitCost(len(unit.ids) - len(prefix or ()), len(prefix or ()), prefix)
            for unit, prefix in zip(chosen, prefixes, strict=True)
        ]

    def _plan(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[list[int]]:
        planned = plan_steps(self._costs(units, step), self.max_step_tokens)
        return [[step[at] for at in one] for one in planned]

    def _tokens(self, units: Sequence[ModelInput], step: Sequence[int]) -> int:
        return tokens_of(self._costs(units, step))

    def _run(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        import torch

        trunk, head = self._loaded()
        layout = build_layout(units, shares_prefixes=self.shares_prefixes)
        positions = mark_positions(units, head.marks)
        with torch.inference_mode():
            hidden_T_H = trunk.run(layout)
            rows = {mark: hidden_T_H[_rows(layout, of_units)].float() for mark, of_units in positions.items()}
            return read_rows(head, rows, positions, layout.computed_tokens)


def _rows(layout: Layout, of_units: Sequence[Sequence[int]]) -> list[int]:
    """Where the positions of all units lie, in order."""
    return [layout.row(at, position) for at, positions in enumerate(of_units) for position in positions]
