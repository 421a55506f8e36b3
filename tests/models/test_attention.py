from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rayreward.models.attention import CannotPackError, Packing, build_packing, packed_attention
from rayreward.models.layout import Segment
from rayreward.models.varlen import bind_varlen

SEGMENTS = [Segment(0, 5), Segment(5, 8, 0, 5), Segment(8, 12), Segment(12, 13, 0, 5), Segment(13, 15, 8, 12)]
"""A prefix with two that follow it, one of them of one row; another prefix with one."""


class Layer:
    is_causal = True


def packing(**options: Any) -> Packing:
    return build_packing(SEGMENTS, device="cpu", dtype=torch.float32, **options)


def row(heads: int = 4, kv_heads: int = 2) -> tuple[Any, Any, Any]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, count, 15, 8, generator=draw) for count in (heads, kv_heads, kv_heads))


def dense(query: Any, key: Any, value: Any) -> Any:
    """The same by one mask over everything."""
    seen = torch.zeros(15, 15, dtype=torch.bool)
    for start, stop, prefix_start, prefix_stop in SEGMENTS:
        seen[start:stop, start:stop] = torch.ones(stop - start, stop - start, dtype=torch.bool).tril()
        seen[start:stop, prefix_start:prefix_stop] = True
    repeats = query.shape[1] // key.shape[1]
    key, value = (one.repeat_interleave(repeats, 1) for one in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen).transpose(1, 2)


def kernel(
    query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int, *,
    window_size: tuple[int, int], scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """What the kernel on CUDA does: masks are aligned at the last query and the last key."""
    assert (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max())) == (max_q, max_k)
    outs = []
    for (q0, q1), (k0, k1) in zip(cu_seq_q.unfold(0, 2, 1).tolist(), cu_seq_k.unfold(0, 2, 1).tolist(), strict=True):
        mask = torch.ones(q1 - q0, k1 - k0, dtype=torch.bool)
        mask = mask.tril((k1 - k0) - (q1 - q0)) if window_size == (-1, 0) else mask
        parts = (query[q0:q1], key[k0:k1], value[k0:k1])
        q, k, v = (part.transpose(0, 1)[None] for part in parts)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        outs.append(out[0].transpose(0, 1))
    return torch.cat(outs)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("by", ["segment", "kernel"])
def test_a_row_sees_its_own_segment_and_its_prefix(by: str, kv_heads: int) -> None:
    query, key, value = row(kv_heads=kv_heads)
    packed = packing(varlen=bind_varlen(kernel) if by == "kernel" else None)
    found, weights = packed_attention(Layer(), query, key, value, packing=packed)
    assert weights is None
    torch.testing.assert_close(found, dense(query, key, value))


@pytest.mark.parametrize("by", ["segment", "kernel"])
def test_layers_that_are_not_causal_see_all_of_their_unit(by: str) -> None:
    query, key, value = row()
    whole = [Segment(0, 9), Segment(9, 15)]
    varlen = bind_varlen(kernel) if by == "kernel" else None
    packed = build_packing(whole, device="cpu", dtype=torch.float32, is_causal=False, varlen=varlen)
    found, _ = packed_attention(Layer(), query, key, value, packing=packed, is_causal=False)
    parts = [
        F.scaled_dot_product_attention(query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], enable_gqa=True)
        for a, b, *_ in whole
    ]
    torch.testing.assert_close(found, torch.cat(parts, 2).transpose(1, 2))


def test_numbers_that_are_none_stay_in_their_segment() -> None:
    query, key, value = row()
    for one in (query, key, value):
        one[:, :, 5:8] = float("nan")
    found, _ = packed_attention(Layer(), query, key, value, packing=packing())
    is_lost = found.isnan().any(-1).any(-1)[0].tolist()
    assert is_lost == [5 <= at < 8 for at in range(15)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"softcap": 50.0}, "softcap"),
        ({"s_aux": torch.ones(4)}, "s_aux"),
        ({"position_bias": torch.zeros(1)}, "position_bias"),
        ({"dropout": 0.1}, "dropout"),
        ({"attention_mask": torch.zeros(1, 1, 15, 15)}, "an attention mask"),
        ({"sliding_window": 7}, "only 7 tokens back"),
        ({"is_causal": False}, "was otherwise"),
        ({"packing": None}, "run without one"),
    ],
)
def test_what_packing_does_not_do_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotPackError, match=says):
        packed_attention(Layer(), *row(), **{"packing": packing(), **asked})


def test_what_changes_nothing_is_allowed() -> None:
    query, key, value = row()
    asked = {"sliding_window": 8, "softcap": None, "use_cache": False, "position_ids": torch.arange(15)}
    found, _ = packed_attention(Layer(), query, key, value, packing=packing(), **asked)
    torch.testing.assert_close(found, dense(query, key, value))
