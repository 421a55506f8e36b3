"""A loaded trunk and its head, put where they compute.

What arrives: both, as a checkpoint gave them. What leaves: both on one device, for inference only; or the reason why
they do not fit. Quantised weights stay where their loader put them.
"""

from __future__ import annotations

from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.heads import Head
from rayreward.models.memory import is_out_of_memory

DTYPES = ("bfloat16", "float16", "float32")


def place(trunk: Any, head: Head, *, device: str | None, dtype: str | None) -> tuple[Any, Head]:
    """The two on `device` (by default CUDA where there is one), the trunk in `dtype` (by default as it is).

    Raises:
        RewardLoadError: they do not fit there, there is no such device, or the dtype is not known.
    """
    import torch

    if dtype is not None and dtype not in DTYPES:
        raise RewardLoadError(f"dtype={dtype!r}: known are {', '.join(DTYPES)}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not getattr(trunk, "is_quantized", False):
            trunk = trunk.to(device)
            for weight in trunk.parameters() if dtype else ():
                # Weights only: `.to(dtype)` would round the rotary frequencies, too, and with them every position.
                weight.data = weight.data.to(getattr(torch, dtype or ""))
        return trunk.eval().requires_grad_(False), head.to(next(trunk.parameters()).device)
    except Exception as error:
        if not is_out_of_memory(error) and not isinstance(error, (RuntimeError, AssertionError)):
            raise
        why = "has too little memory for its weights" if is_out_of_memory(error) else f"cannot be used ({error})"
        raise RewardLoadError(f"{type(trunk).__name__}: the device {device!r} {why}") from error


def is_device_lost(error: BaseException) -> bool:
    """Whether nothing can be computed on the device any more: a failed kernel takes the process's context with it."""
    import torch

    if is_out_of_memory(error):
        return False
    kinds = getattr(torch, "AcceleratorError", None)  # torch from 2.8 on
    return (kinds is not None and isinstance(error, kinds)) or "CUDA error" in str(error)
