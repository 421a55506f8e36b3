"""Heads: what reads a reward out of a trunk's hidden rows, always in fp32.

What arrives: hidden rows of the positions that a head asked for. What leaves: one `Reading` a unit, raw and normalised.
A head never sees padding, token ids or other units' rows by accident: whoever ran the trunk knows where each unit's
positions lie, and hands over those only. Heads of other families (gated, pairs, steps) live in files of their own.

Shapes: U units, R rows (over all units), H hidden width, L outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from rayreward.errors import RewardLoadError
from rayreward.models.inputs import Reading

LAST = "last"
"""The mark that every unit has: its last token. It is never named in `ModelInput.marks`."""


class Head(Protocol):
    """Reads units out of hidden rows.

    Attributes:
        marks: what it reads beside the last token: names of `ModelInput.marks`, such as ``("gate",)``. A backend
            answers a unit that lacks one of them (no entry, or no position) by an `InvalidInputError`: a head need not.
    """

    marks: tuple[str, ...]

    def to(self, device: Any) -> Head:
        """The head with its weights, which are fp32, on `device`. Called once, at load; may return itself."""
        ...

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """One reading a unit, in order.

        Called under `torch.inference_mode`. Numbers that are not finite are handed on as they are: the backend turns
        them into an `InvalidOutputError` of that unit. `Reading.computed_tokens` is filled in by the backend.

        Args:
            rows: of each mark and of ``"last"``: the hidden rows (after the trunk's final norm) in fp32, shape [R, H];
                units in order, and within a unit in the order of its positions. ``rows["last"]`` is [U, H].
            counts: of the same names: how many rows each unit has; they sum to R. ``split`` along the first axis by
                them gives each unit's own.
        """
        ...


class LinearHead:
    """One linear layer over the last token: ``*ForSequenceClassification``, OpenRLHF's `score` and `value_head`.

    The product is a multiplication and a sum in fp32: no TF32, and the same number whatever stands beside it.

    Args:
        weight: [1, H], or [L, H] for several outputs.
        bias: [L], or None.
        mean: of the checkpoint's own normalisation, ``score = (raw - mean) / std``.
        std: the same; 1.0 where the checkpoint has none.
        names: of the L outputs, where there are several; they become `Reading.heads`.
        weights: of the L outputs in `Reading.raw`, where there are several: no number is made up for them.

    Raises:
        RewardLoadError: shapes that do not fit, weights or a normalisation that are not finite, a `std` that is not
            positive, or several outputs without names and weights.

    Example:
        >>> head = LinearHead(torch.tensor([[1.0, 2.0]]), mean=1.0, std=2.0)
        >>> [reading] = head.read({"last": torch.tensor([[3.0, 0.5]])}, {"last": [1]})
        >>> reading.raw, reading.score
        (4.0, 1.5)
    """

    marks: tuple[str, ...] = ()

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        *,
        mean: float = 0.0,
        std: float = 1.0,
        names: Sequence[str] = (),
        weights: Sequence[float] = (),
    ) -> None:
        self._weight_L_H = weight.detach().float()
        self._bias_L = None if bias is None else bias.detach().float()
        self._mean, self._std = float(mean), float(std)
        self._names, self._weights = tuple(names), tuple(float(one) for one in weights)
        self._check()

    def _check(self) -> None:
        shape = tuple(self._weight_L_H.shape)
        if len(shape) != 2 or 0 in shape:
            raise RewardLoadError(f"a linear head's weight is [outputs, hidden], found the shape {list(shape)}")
        if self._bias_L is not None and tuple(self._bias_L.shape) != shape[:1]:
            raise RewardLoadError(f"a linear head of {shape[0]} outputs found a bias of {list(self._bias_L.shape)}")
        if not all(bool(torch.isfinite(one).all()) for one in (self._weight_L_H, self._bias_L) if one is not None):
            raise RewardLoadError("a linear head's weights are not all finite: the checkpoint is damaged")
        if not (math.isfinite(self._mean) and math.isfinite(self._std) and self._std > 0):
            raise RewardLoadError(
                f"a score is normalised by (raw - mean) / std with a std over 0, found mean={self._mean}, "
                f"std={self._std}: correct them in the checkpoint's config.json"
            )
        if shape[0] > 1 and not len(self._names) == len(self._weights) == shape[0]:
            raise RewardLoadError(
                f"a linear head of {shape[0]} outputs needs a name and a weight for each, found "
                f"{len(self._names)} names and {len(self._weights)} weights: which of them is the reward?"
            )

    def to(self, device: Any) -> LinearHead:
        """Move the weights, in place."""
        self._weight_L_H = self._weight_L_H.to(device)
        self._bias_L = None if self._bias_L is None else self._bias_L.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """The last tokens' outputs: see `Head.read`."""
        outputs_U_L = (rows[LAST][:, None, :] * self._weight_L_H).sum(-1)
        if self._bias_L is not None:
            outputs_U_L = outputs_U_L + self._bias_L
        return [self._reading(outputs_L) for outputs_L in outputs_U_L.tolist()]

    def _reading(self, outputs_L: Sequence[float]) -> Reading:
        if len(outputs_L) == 1:
            raw = outputs_L[0]
        else:
            raw = sum(weight * one for weight, one in zip(self._weights, outputs_L, strict=True))
        heads = dict(zip(self._names, outputs_L, strict=True)) if self._names else {}
        return Reading(raw, (raw - self._mean) / self._std, heads)
