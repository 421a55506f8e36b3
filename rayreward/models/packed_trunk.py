"""A trunk made to read packed rows, and the check that it reads them rightly.

What arrives: a loaded decoder or encoder of transformers, without its head. What leaves: hidden rows of a layout. It
promises that a trunk whose packed rows are not what it computes of each unit alone is refused when it is loaded: models
that look at their neighbours by convolutions or states, that count positions by themselves, or whose attention wants
more than `attention.py` does. A refused trunk is given back as it came, for the padded backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rayreward.errors import RewardLoadError
from rayreward.models import attention
from rayreward.models.attention import AttentionCall, CannotPackError, build_packing
from rayreward.models.inputs import ModelInput
from rayreward.models.layout import MIN_SHARED_TOKENS, Layout, build_layout
from rayreward.models.memory import is_out_of_memory
from rayreward.models.placing import is_device_lost
from rayreward.models.varlen import VarlenAttention, choose_varlen

_LARGEST_ERROR = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Mean over the probe's rows of how far a packed row is from the row of its unit alone, as a part of its length."""

_LARGEST_ERROR_HALF = 0.1
"""The same in bf16 and fp16: rounding stays at a few percent; a neighbour that is seen gives tens."""


class PackedTrunk:
    """Runs layouts through a trunk.

    Args:
        trunk: a model of transformers without its head, on its device, in its dtype.
        max_length: of a unit: windows of attention that are no shorter change nothing.

    Attributes:
        is_causal: whether tokens see only those before them; prefixes can be shared only then.
        vocabulary: ids are below it.

    Raises:
        CannotPackError: the trunk cannot be packed, or was packed and answered otherwise than unit by unit.
        RewardLoadError: torch's attention kernel has arguments that are not known, or the trunk answers with NaN.
    """

    def __init__(self, trunk: Any, *, max_length: int) -> None:
        self._trunk, self._device = trunk, next(trunk.parameters()).device
        self._varlen: VarlenAttention | None = None
        self._dtype: Any = trunk.dtype
        self.is_causal = True
        self.vocabulary = int(trunk.get_input_embeddings().weight.shape[0])
        original = trunk.config._attn_implementation
        units = _probe_units(self.vocabulary)
        try:
            with torch.inference_mode():
                alone = [self._run_alone(unit.ids) for unit in units]
                self._check_finite(alone)
                self._pack(units, alone, max_length)
        except BaseException:
            trunk.config._attn_implementation = original  # as it came, whatever a setter would check
            raise

    @property
    def uses_kernel(self) -> bool:
        """Whether one kernel does the attention of a step; else it goes from segment to segment."""
        return self._varlen is not None

    def run(self, layout: Layout, *, calls: list[AttentionCall] | None = None) -> Any:
        """Hidden rows of the packed row, after the trunk's final norm: [T, H], in the trunk's dtype."""
        packing = build_packing(
            layout.segments, device=self._device, dtype=self._dtype, is_causal=self.is_causal, varlen=self._varlen
        )
        packing.calls = calls
        answer = self._trunk(
            input_ids=torch.tensor([layout.ids], device=self._device),
            position_ids=torch.tensor([layout.positions], device=self._device),
            attention_mask=None,
            use_cache=False,
            packing=packing,
        )
        return answer.last_hidden_state[0]

    def _run_alone(self, ids: Sequence[int]) -> Any:
        row = torch.tensor([list(ids)], device=self._device)
        return self._trunk(input_ids=row, use_cache=False).last_hidden_state[0].float()

    def _check_finite(self, alone: Sequence[Any]) -> None:
        if not all(bool(torch.isfinite(rows).all()) for rows in alone):
            raise RewardLoadError(
                f"{type(self._trunk).__name__} answers with numbers that are not finite: in float16 "
                f"an overflow, take bfloat16 or float32; else the checkpoint's weights are damaged"
            )

    def _pack(self, units: Sequence[ModelInput], alone: Sequence[Any], max_length: int) -> None:
        """Switch the trunk's attention; a trunk that ran alone and breaks now is one that cannot be packed."""
        attention.register()
        try:
            _set_attention(self._trunk, attention.NAME)
            self._adopt(max_length)
            self._compare(units, alone)
        except Exception as error:
            if isinstance(error, RewardLoadError) or is_out_of_memory(error) or is_device_lost(error):
                raise
            raise CannotPackError(
                f"{type(self._trunk).__name__} breaks in a packed row and not alone: take the padded backend for this "
                f"model ({type(error).__name__}: {error})"
            ) from error

    def _adopt(self, max_length: int) -> None:
        """Learn from a first packed row what the trunk's layers ask for."""
        calls: list[AttentionCall] = []
        self.run(build_layout([ModelInput((1,))]), calls=calls)
        layers = int(self._trunk.config.get_text_config().num_hidden_layers)
        if len(calls) != layers:
            raise CannotPackError(
                f"{type(self._trunk).__name__} has {layers} layers, and attention that can be packed was called "
                f"{len(calls)} times: take the padded backend for this model"
            )
        if len({(call.is_causal, call.dtype) for call in calls}) > 1:
            raise CannotPackError(f"{type(self._trunk).__name__} has layers that are causal and layers that are not")
        windows = [call.sliding_window for call in calls if call.sliding_window is not None]
        if windows and min(windows) < max_length:
            raise CannotPackError(
                f"{type(self._trunk).__name__} has layers that see only {min(windows)} tokens back, and units may have "
                f"{max_length}: take the padded backend, or a max_length of at most {min(windows)}"
            )
        self.is_causal, self._dtype = calls[0].is_causal, calls[0].dtype
        widths = {(call.key_width, call.value_width) for call in calls}
        kernels = [choose_varlen(self._device, self._dtype, key_width=key, value_width=value) for key, value in widths]
        self._varlen = kernels[0] if all(kernels) else None

    def _compare(self, units: Sequence[ModelInput], alone: Sequence[Any]) -> None:
        """Packed rows against those of each unit alone."""
        layout = build_layout(units, shares_prefixes=self.is_causal)
        hidden_T_H = self.run(layout).float()
        errors = []
        for at, (unit, rows) in enumerate(zip(units, alone, strict=True)):
            own = hidden_T_H[[layout.row(at, position) for position in range(len(unit.ids))]]
            # A padding token's own embedding is zeros in many checkpoints, and so is then its row.
            errors.append(((own - rows).norm(dim=-1) / rows.norm(dim=-1).clamp_min(1e-6)).mean())
        error, limit = float(torch.stack(errors).max()), _LARGEST_ERROR.get(self._dtype, _LARGEST_ERROR_HALF)
        if not error <= limit:
            raise CannotPackError(
                f"{type(self._trunk).__name__} answers otherwise in a packed row than alone (rows differ by "
                f"{error:.2g} of their length, at most {limit:g} is rounding): take the padded backend for this model"
            )


def _probe_units(vocabulary: int) -> list[ModelInput]:
    """Siblings, one of them without a response; others of one token and of several, before and behind them."""
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=draw).tolist())

    prompt = ids(MIN_SHARED_TOKENS + 3)
    siblings = [ModelInput(prompt + ids(count), len(prompt)) for count in (5, 0, 12)]
    return [ModelInput(ids(9)), *siblings, ModelInput(ids(1)), ModelInput(ids(23))]


def _set_attention(trunk: Any, name: str) -> None:
    if hasattr(trunk, "set_attn_implementation"):
        trunk.set_attn_implementation(name)
    else:  # transformers before 4.54
        trunk.config._attn_implementation = name
