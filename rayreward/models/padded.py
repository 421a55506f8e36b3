"""The padded backend: rows of about one length, and for encoders several texts in a row.

What arrives: units. What leaves: a reading or an exception for each, in order. It runs every model that transformers
runs: encoders, and decoders that cannot be packed (windows, states, convolutions). Steps, memory and failures are
`rayreward.models.stepping`'s. The head reads in fp32 whatever the trunk computes in.

Measured by `benchmarks/padding.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rayreward.models.cpu_linear import multiply_by_onednn
from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.row_trunk import RowTrunk
from rayreward.models.rows import Row, choose_capacity, padded_tokens, plan_row_steps, plan_rows
from rayreward.models.stepping import SteppedBackend
from rayreward.models.units import mark_positions, read_rows

_STEP_COST_TOKENS = 128
"""What a further step on a CPU is taken to cost: a matrix of so many rows is multiplied at full speed there."""

_LAUNCHED_STEP_COST_TOKENS = 2048
"""The same on a GPU, where smaller steps wait for their kernels to be launched."""


class PaddedBackend(SteppedBackend[RowTrunk]):
    """A `Backend` for encoders, and for all that cannot be packed.

    Args:
        trunk_and_head: loads both; called once, by `load`. The trunk is a model of transformers without its head.
        device: "cuda", "cuda:1", "cpu"; by default CUDA where there is one.
        dtype: "bfloat16", "float16" or "float32"; by default the trunk stays as it was loaded.
        max_step_tokens: how many tokens one forward pass may carry, padding counted.
        max_length: of a unit; never more than the model has positions for.
        row_tokens: capacity of a row that several texts share; 0 gives each its own. By default whatever costs least
            for the texts of a call.

    Raises:
        RewardLoadError: at load: the model does not fit on the device.

    Example:
        >>> PaddedBackend(lambda: load_checkpoint("OpenAssistant/reward-model-deberta-v3-large-v2")).steps_overlap
        False
    """

    _takes_segments = True

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_step_tokens: int = 8192,
        max_length: int = 4096,
        row_tokens: int | None = None,
    ) -> None:
        super().__init__(
            trunk_and_head, device=device, dtype=dtype, max_step_tokens=max_step_tokens, max_length=max_length
        )
        self._row_tokens, self._capacity_tokens = row_tokens, row_tokens or 0

    def _prepare(self, trunk: Any) -> RowTrunk:
        """Checked: whether texts may share rows."""
        return RowTrunk(multiply_by_onednn(trunk))

    @property
    def shares_rows(self) -> bool:
        """Whether several texts stand in one row."""
        return self._row_tokens != 0 and self._loaded()[0].shares_rows

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order.

        Raises:
            Exception: whatever broke a unit, where the model cannot compute a single token any more either.
        """
        if self._row_tokens is None:
            # Once a call: the rows of a step, planned again from its units, must be the same rows.
            lengths = [len(unit.ids) for unit in units]
            width = self._loaded()[0].hidden_width
            self._capacity_tokens = (
                choose_capacity(lengths, self.max_step_tokens, width, step_cost_tokens=self._step_cost_tokens)
                if self.shares_rows
                else 0
            )
        return super().score(units)

    @property
    def _step_cost_tokens(self) -> int:
        return _STEP_COST_TOKENS if self._loaded()[0].is_on_cpu else _LAUNCHED_STEP_COST_TOKENS

    def cost(self, unit: ModelInput) -> int:
        """All of its tokens; what it is padded by depends on its neighbours."""
        return len(unit.ids)

    def _rows(self, units: Sequence[ModelInput]) -> list[Row]:
        capacity = min(self._capacity_tokens, self.max_step_tokens) if self.shares_rows else 0
        return plan_rows([len(unit.ids) for unit in units], capacity)

    def _plan(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[list[int]]:
        rows = self._rows([units[at] for at in step])
        planned = plan_row_steps(rows, self.max_step_tokens, step_cost_tokens=self._step_cost_tokens)
        return [sorted(step[at] for row in rows for at in row.units) for rows in planned]

    def _tokens(self, units: Sequence[ModelInput], step: Sequence[int]) -> int:
        return padded_tokens(self._rows([units[at] for at in step]))

    def _run(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        import torch

        trunk, head = self._loaded()
        rows = self._rows(units)
        positions = mark_positions(units, head.marks)
        starts = _starts(units, rows)
        with torch.inference_mode():
            hidden_B_T_H = trunk.run(units, rows)
            read = {mark: hidden_B_T_H[_places(starts, of_units)].float() for mark, of_units in positions.items()}
            return read_rows(head, read, positions, _computed(units, rows))


def _starts(units: Sequence[ModelInput], rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Of each unit: its row, and where it starts there."""
    found = [(0, 0)] * len(units)
    for at, row in enumerate(rows):
        start = 0
        for unit in row.units:
            found[unit] = (at, start)
            start += len(units[unit].ids)
    return found


def _places(starts: Sequence[tuple[int, int]], of_units: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Rows and columns of the positions of all units, in order."""
    pairs = [(row, start + at) for (row, start), positions in zip(starts, of_units, strict=True) for at in positions]
    return [row for row, _ in pairs], [column for _, column in pairs]


def _computed(units: Sequence[ModelInput], rows: Sequence[Row]) -> list[int]:
    """What each unit is charged with: its tokens; what a row is padded by goes to its first."""
    charged = [len(unit.ids) for unit in units]
    width = max(row.tokens for row in rows)
    for row in rows:
        charged[row.units[0]] += width - row.tokens
    return charged
