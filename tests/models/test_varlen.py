from __future__ import annotations

from typing import Any

import pytest
import torch

from rayreward.errors import RewardLoadError
from rayreward.models.varlen import bind_varlen, choose_varlen

ROW = (torch.ones(3, 4, 8), torch.ones(3, 2, 8), torch.ones(3, 2, 8), "cu_q", "cu_k", 3, 3)


def test_torch_2_13_says_window_and_groups_heads_by_itself() -> None:
    seen: dict[str, Any] = {}

    def kernel(
        query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: Any, max_k: Any, *,
        scale: Any = None, window_size: Any = (-1, -1), enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        seen.update(window=window_size, gqa=enable_gqa, scale=scale, heads=key.shape[1])
        return query

    attend = bind_varlen(kernel)
    attend(*ROW, scale=0.5, is_causal=True)
    assert seen == {"window": (-1, 0), "gqa": True, "scale": 0.5, "heads": 2}
    attend(*ROW, scale=8**-0.5, is_causal=False)
    assert seen == {"window": (-1, -1), "gqa": True, "scale": None, "heads": 2}


def test_torch_2_10_says_causal_and_wants_heads_repeated() -> None:
    seen: dict[str, Any] = {}

    def kernel(
        query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: Any, max_k: Any, is_causal: bool = False
    ) -> Any:
        seen.update(causal=is_causal, heads=(key.shape[1], value.shape[1]))
        return query

    attend = bind_varlen(kernel)
    attend(*ROW, scale=None, is_causal=True)
    assert seen == {"causal": True, "heads": (4, 4)}
    with pytest.raises(RewardLoadError, match="without scale"):
        attend(*ROW, scale=0.5, is_causal=True)


def test_the_installed_torchs_kernel_is_known() -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    assert bind_varlen(varlen.varlen_attn) is not None


@pytest.mark.parametrize(
    "kernel",
    [
        lambda query, key, value, cu_seq_q, cu_seq_k, max_q, max_k: query,
        lambda q, k, v, offsets, *, window_size: q,
    ],
)
def test_a_signature_that_nobody_knows_is_refused(kernel: Any) -> None:
    with pytest.raises(RewardLoadError, match="does not know"):
        bind_varlen(kernel)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cpus_have_no_kernel(dtype: Any) -> None:
    assert choose_varlen("cpu", dtype, key_width=64, value_width=64) is None
