"""torch's own attention over sequences of different lengths, found and called by what its signature says.

What arrives: a device, a dtype, the heads' widths. What leaves: a function over packed rows, or None where this machine
or this torch has no such kernel, and attention runs segment by segment instead. It promises that a signature that it
does not know is refused at load: a kernel that was called wrongly would answer with numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from rayreward.errors import RewardLoadError

MAX_HEAD_WIDTH = 256
"""Of the flash kernels; heads wider than that, or of no multiple of 8, run segment by segment."""

_FIRST = ("query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k")
"""What is given by position: the names that every torch with this function has had so far."""


class VarlenAttention(Protocol):
    """``(query [Q, heads, width], key [K, kv_heads, width], value, cu_q, cu_k, max_q, max_k)`` -> [Q, heads, width]."""

    def __call__(self, *row: Any, scale: float | None, is_causal: bool) -> Any:
        """Attention of each sequence to its own keys; causal masks are aligned at the last query and the last key."""
        ...


def choose_varlen(device: Any, dtype: Any, *, key_width: int, value_width: int) -> VarlenAttention | None:
    """The kernel for this device, or None where attention must run segment by segment.

    Raises:
        RewardLoadError: the function is there, and its signature is none that is known.
    """
    if torch.device(device).type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return None
    if key_width != value_width or key_width > MAX_HEAD_WIDTH or key_width % 8:
        return None
    if torch.cuda.get_device_capability(device)[0] < 8:
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return bind_varlen(varlen_attn)


def bind_varlen(function: Callable[..., Any]) -> VarlenAttention:
    """`function` with its options named as this torch names them.

    torch 2.10 said ``is_causal``; 2.13 says ``window_size`` and can group heads by itself (``enable_gqa``).

    Raises:
        RewardLoadError: arguments that are not known.
    """
    options = inspect.signature(function).parameters
    if tuple(options)[: len(_FIRST)] != _FIRST or not {"window_size", "is_causal"} & options.keys():
        raise RewardLoadError(
            f"torch {torch.__version__} has a varlen_attn{inspect.signature(function)}, which this version does not "
            f"know: it knows the arguments {', '.join(_FIRST)} and window_size or is_causal. Take the padded backend, "
            f"or a torch that was tested"
        )

    def attend(*row: Any, scale: float | None, is_causal: bool) -> Any:
        query, key, value, *rest = row
        chosen = _causal_option(options, is_causal)
        if scale is not None and scale != query.shape[-1] ** -0.5:
            if "scale" not in options:
                raise RewardLoadError(f"torch {torch.__version__} has a varlen_attn without scale, which is needed")
            chosen["scale"] = scale
        if key.shape[1] != query.shape[1]:
            if "enable_gqa" in options:
                chosen["enable_gqa"] = True
            else:
                repeats = query.shape[1] // key.shape[1]
                key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        return function(query, key, value, *rest, **chosen)

    return attend


def _causal_option(options: Mapping[str, Any], is_causal: bool) -> dict[str, Any]:
    if "window_size" in options:
        return {"window_size": (-1, 0) if is_causal else (-1, -1)}
    return {"is_causal": is_causal}
