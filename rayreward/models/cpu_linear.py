"""Linear layers in fp32 on AMD's CPUs, multiplied by oneDNN.

What arrives: a loaded trunk. What leaves: the same trunk, whose linear layers give the same numbers, to rounding, in
half the time. torch multiplies fp32 matrices by MKL, which reaches half of these CPUs' speed: 177 GFLOP/s against 339
(rows of 640 by 640 x 2,560, two cores of Zen 5, torch 2.13), in the same proportion from 1 row to 6,801. oneDNN is part
of torch, which takes it for 16 bits by itself. Weights are laid out for it once, and take no more memory than before.

The operators are those that torch's own compiler emits; a torch without them, and every other device, dtype and kind of
layer, is left as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

_CPUINFO = Path("/proc/cpuinfo")


class OneDnnLinear(torch.nn.Module):  # type: ignore[misc]
    """A `torch.nn.Linear` for inference.

    Args:
        linear: the layer whose numbers it gives; it is not kept.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    @property
    def weight(self) -> Any:
        """[out, in], for models that look at it; made anew each time."""
        return self._packed.to_dense()

    @property
    def bias(self) -> Any:
        """[out], or None."""
        return self._bias

    def forward(self, rows: Any) -> Any:
        """[..., in] to [..., out]."""
        return torch.ops.mkldnn._linear_pointwise(rows, self._packed, self._bias, "none", [], "")


def multiply_by_onednn(trunk: Any, *, is_slow: bool | None = None) -> Any:
    """The trunk, its fp32 linear layers on a CPU exchanged.

    Args:
        trunk: on its device, in its dtype.
        is_slow: whether MKL is slow here; by default, whether the CPU is AMD's.
    """
    if not _has_operators() or not (_is_amd() if is_slow is None else is_slow):
        return trunk
    made: dict[torch.nn.Linear, OneDnnLinear] = {}
    for parent in list(trunk.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear and _is_plain(child):
                if child not in made:
                    made[child] = OneDnnLinear(child)
                setattr(parent, name, made[child])
    return trunk


def _is_plain(linear: torch.nn.Linear) -> bool:
    weight = linear.weight
    return bool(weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel())


def _has_operators() -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    return hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in _CPUINFO.read_text()
    except OSError:
        return False
