"""Attention over a packed row: each segment to itself and to its prefix, and to nothing else.

What arrives: queries, keys and values of one packed row, from any trunk that asks transformers' `AttentionInterface`.
What leaves: what the trunk's own attention would give, unit by unit. On CUDA one variable-length kernel does it; else,
and in fp32, `scaled_dot_product_attention` goes from segment to segment. It promises to refuse what it does not do
(windows shorter than a unit, soft caps, sinks, position biases, masks of a model's own): never a wrong number.

Shapes: T rows of the packed row, K keys in the order in which the kernel reads them, N segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from rayreward.errors import RewardLoadError
from rayreward.models.layout import Segment
from rayreward.models.varlen import VarlenAttention

NAME = "rayreward_packed"
"""Of this function in transformers' `AttentionInterface`. It has no mask of its own there: none is built."""

_HARMLESS = frozenset(
    ("position_ids", "use_cache", "cache_position", "output_attentions", "output_hidden_states", "return_dict",
     "is_causal", "sliding_window", "output_router_logits")
)  # fmt: skip
"""Keywords that change nothing here, or that are looked at by name."""


class CannotPackError(RewardLoadError):
    """A model needs what packed attention does not do: the padded backend runs it."""


@dataclass(slots=True)
class AttentionCall:
    """What a layer asked for: seen at load."""

    is_causal: bool
    sliding_window: int | None
    key_width: int
    value_width: int
    dtype: Any


@dataclass(slots=True)
class Packing:
    """What attention needs to know of one packed row, on the device, made once a step for all layers.

    Attributes:
        segments: who attends to whom.
        is_causal: whether a row sees only rows before it.
        varlen: the kernel, or None: segment by segment.
        cu_q: where each segment's queries start, [N + 1]; only with `varlen`, as are the next four.
        cu_k: where its keys start, [N + 1].
        max_q: of a segment.
        max_k: of a segment, with its prefix.
        key_rows: [K], the rows that are keys, each prefix again for every segment; None where they are the row itself.
        masks: one a segment, to be added; None where the kernel needs none.
        calls: where layers write down what they asked for; None when nobody looks.
    """

    segments: Sequence[Segment]
    is_causal: bool = True
    varlen: VarlenAttention | None = None
    cu_q: Any = None
    cu_k: Any = None
    max_q: int = 0
    max_k: int = 0
    key_rows: Any = None
    masks: list[Any] = field(default_factory=list)
    calls: list[AttentionCall] | None = None

    @property
    def longest_unit(self) -> int:
        """Tokens of the longest sequence that a row looks back on."""
        return max(segment.tokens + segment.prefix_tokens for segment in self.segments)


def build_packing(
    segments: Sequence[Segment],
    *,
    device: Any,
    dtype: Any,
    is_causal: bool = True,
    varlen: VarlenAttention | None = None,
) -> Packing:
    """Put what the segments say onto the device."""
    packing = Packing(segments, is_causal, varlen)
    if varlen is None:
        packing.masks = _masks(segments, device=device, dtype=dtype)
        return packing
    ends_q, ends_k, rows = [0], [0], list[int]()
    for segment in segments:
        ends_q.append(ends_q[-1] + segment.tokens)
        ends_k.append(ends_k[-1] + segment.prefix_tokens + segment.tokens)
        rows.extend(range(segment.prefix_start, segment.prefix_stop))
        rows.extend(range(segment.start, segment.stop))
    packing.cu_q = torch.tensor(ends_q, dtype=torch.int32, device=device)
    packing.cu_k = torch.tensor(ends_k, dtype=torch.int32, device=device)
    packing.max_q = max(segment.tokens for segment in segments)
    packing.max_k = packing.longest_unit
    if any(segment.prefix_tokens for segment in segments):
        packing.key_rows = torch.tensor(rows, device=device)
    return packing


def _masks(segments: Sequence[Segment], *, device: Any, dtype: Any) -> list[Any]:
    """Of segments behind a prefix: all of it is seen, and what is before a row. Equal ones are made once.

    A causal flag would be aligned at the first key, not at the last, which is why these need a mask.
    """
    made: dict[tuple[int, int], Any] = {}
    masks: list[Any] = []
    for segment in segments:
        own, prefix = segment.tokens, segment.prefix_tokens
        if not prefix or own == 1:
            masks.append(None)
            continue
        if (own, prefix) not in made:
            unseen = torch.full((own, prefix + own), float("-inf"), dtype=dtype, device=device)
            made[own, prefix] = unseen.triu_(prefix + 1)
        masks.append(made[own, prefix])
    return masks


def packed_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any = None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    packing: Packing | None = None,
    **asked: Any,
) -> tuple[Any, None]:
    """The function that trunks call: query [1, heads, T, width], key and value [1, kv_heads, T, width].

    Returns:
        [1, T, heads, width], and no attention weights.

    Raises:
        CannotPackError: the layer asks for what is not done here.
    """
    if packing is None:
        raise CannotPackError(
            f"{type(module).__name__} was prepared for packed rows, and was run without one: either the model does not "
            f"hand its keywords on to its attention, which packing needs, or it was called beside its backend"
        )
    is_causal = _checked(module, attention_mask, dropout, packing, asked)
    if packing.calls is not None:
        window = asked.get("sliding_window")
        packing.calls.append(AttentionCall(is_causal, window, key.shape[-1], value.shape[-1], query.dtype))
    if packing.varlen is not None:
        return _by_kernel(query, key, value, packing, scaling, packing.varlen)[None], None
    return _by_segment(query, key, value, packing, scaling), None


def _checked(module: Any, attention_mask: Any, dropout: float, packing: Packing, asked: dict[str, Any]) -> bool:
    """Whether the layer is causal; what is not done here is refused."""
    unknown = sorted(name for name, value in asked.items() if name not in _HARMLESS and _says_something(value))
    if attention_mask is not None:
        unknown.append("an attention mask")
    if dropout:
        unknown.append("dropout")
    if unknown:
        raise CannotPackError(
            f"{type(module).__name__} asks its attention for {', '.join(unknown)}, which packed attention does not do: "
            f"take the padded backend for this model"
        )
    window = asked.get("sliding_window")
    if window is not None and window < packing.longest_unit:
        raise CannotPackError(
            f"{type(module).__name__} sees only {window} tokens back, and a unit has {packing.longest_unit}: take the "
            f"padded backend, or a max_length of at most {window}"
        )
    flag = asked.get("is_causal")
    is_causal = bool(getattr(module, "is_causal", True) if flag is None else flag)
    if packing.calls is None and is_causal != packing.is_causal:
        raise CannotPackError(f"{type(module).__name__} is causal={is_causal}, and was otherwise when it was loaded")
    return is_causal


def _says_something(value: Any) -> bool:
    return value is not None and not (isinstance(value, (bool, int, float)) and not value)


def _by_kernel(
    query: Any, key: Any, value: Any, packing: Packing, scaling: float | None, varlen: VarlenAttention
) -> Any:
    query_T, key_K, value_K = (one[0].transpose(0, 1) for one in (query, key, value))
    if packing.key_rows is not None:
        key_K, value_K = key_K[packing.key_rows], value_K[packing.key_rows]
    return varlen(
        query_T.contiguous(), key_K.contiguous(), value_K.contiguous(),
        packing.cu_q, packing.cu_k, packing.max_q, packing.max_k, scale=scaling, is_causal=packing.is_causal,
    )  # fmt: skip


def _by_segment(query: Any, key: Any, value: Any, packing: Packing, scaling: float | None) -> Any:
    is_grouped = key.shape[1] != query.shape[1]
    out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])
    for segment, mask in zip(packing.segments, packing.masks, strict=True):
        start, stop, prefix_start, prefix_stop = segment
        keys, values = key[:, :, start:stop], value[:, :, start:stop]
        if prefix_stop:
            keys = torch.cat((key[:, :, prefix_start:prefix_stop], keys), 2)
            values = torch.cat((value[:, :, prefix_start:prefix_stop], values), 2)
        attended = F.scaled_dot_product_attention(
            query[:, :, start:stop], keys, values, attn_mask=mask, scale=scaling, enable_gqa=is_grouped,
            is_causal=packing.is_causal and mask is None and stop - start > 1,
        )  # fmt: skip
        out[:, start:stop] = attended.transpose(1, 2)
    return out


def register() -> None:
    """Make the function known to transformers, once or again."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
