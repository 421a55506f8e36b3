from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rayreward.errors import RewardLoadError
from rayreward.models import attention, packed_trunk
from rayreward.models.attention import CannotPackError
from rayreward.models.packed_trunk import PackedTrunk
from rayreward.models.varlen import bind_varlen
from tests.models.test_attention import kernel
from tests.models.trunks import make_trunk


def test_a_decoder_is_causal_and_knows_its_vocabulary() -> None:
    trunk = PackedTrunk(make_trunk(), max_length=64)
    assert (trunk.is_causal, trunk.vocabulary, trunk.uses_kernel) == (True, 64, False)


def test_an_encoder_is_not() -> None:
    assert PackedTrunk(make_trunk("Bert"), max_length=64).is_causal is False


@pytest.mark.parametrize(
    ("family", "changes", "says"),
    [
        ("Gemma2", {"head_dim": 8}, "softcap"),
        ("Mistral", {"sliding_window": 32}, "only 32 tokens back"),
        ("Bloom", {"n_head": 4}, "was called 0 times"),
    ],
)
def test_models_that_need_more_are_refused_and_given_back_as_they_came(
    family: str, changes: dict[str, Any], says: str
) -> None:
    trunk = make_trunk(family, **changes)
    row = torch.tensor([[3, 1, 4, 1, 5]])
    before, attention = trunk(input_ids=row).last_hidden_state, trunk.config._attn_implementation
    with pytest.raises(CannotPackError, match=says):
        PackedTrunk(trunk, max_length=64)
    assert trunk.config._attn_implementation == attention
    torch.testing.assert_close(trunk(input_ids=row).last_hidden_state, before)


class KernelOnCpu(TorchDispatchMode):
    """What torch's operator for CUDA computes, here: its own checks and its own way to it come before."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[bool, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.ops.torch_attn._varlen_attn.default:
            return func(*args, **(kwargs or {}))
        # What is as its default says does not come along.
        query, key, value, cu_q, cu_k, max_q, max_k, is_causal, scale, window, enable_gqa = (*args, False)[:11]
        assert is_causal == (window == [-1, 0])
        self.asked.append((is_causal, enable_gqa))
        out = kernel(
            query, key, value, cu_q, cu_k, max_q, max_k, window_size=tuple(window), scale=scale, enable_gqa=enable_gqa
        )
        return out, query.new_empty(query.shape[1], query.shape[0]), query.new_empty(2)


@pytest.mark.parametrize(
    ("family", "is_causal", "groups_heads"), [("Llama", True, True), ("Gemma", True, True), ("Bert", False, False)]
)
def test_what_it_asks_the_installed_torchs_operator_is_what_the_trunk_computes(
    monkeypatch: pytest.MonkeyPatch, family: str, is_causal: bool, groups_heads: bool
) -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(packed_trunk, "choose_varlen", lambda *_, **__: bind_varlen(varlen.varlen_attn))
    with KernelOnCpu() as mode:
        trunk = PackedTrunk(make_trunk(family), max_length=64)
    assert trunk.uses_kernel
    assert set(mode.asked) == {(is_causal, groups_heads)}


def test_windows_that_no_unit_reaches_change_nothing() -> None:
    PackedTrunk(make_trunk("Mistral", sliding_window=64), max_length=64)


def test_a_trunk_that_looks_at_its_neighbours_in_the_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_trunk()
    layer = trunk.layers[0].mlp
    forward = layer.forward
    # A convolution over time: right for one unit alone, wrong where another one ends before it.
    monkeypatch.setattr(layer, "forward", lambda rows: forward(rows) + 0.5 * rows.roll(1, dims=1))
    with pytest.raises(CannotPackError, match="answers otherwise in a packed row than alone"):
        PackedTrunk(trunk, max_length=64)


def test_a_trunk_that_counts_positions_by_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_trunk()
    forward = trunk.rotary_emb.forward
    monkeypatch.setattr(
        trunk.rotary_emb, "forward", lambda rows, position_ids: forward(rows, torch.arange(rows.shape[1])[None])
    )
    with pytest.raises(CannotPackError, match="answers otherwise"):
        PackedTrunk(trunk, max_length=64)


def test_a_trunk_whose_layers_do_not_get_its_keywords_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_trunk()
    attend = trunk.layers[1].self_attn.forward
    monkeypatch.setattr(trunk.layers[1].self_attn, "forward", lambda **given: attend(**{**given, "packing": None}))
    with pytest.raises(CannotPackError, match="run without one"):
        PackedTrunk(trunk, max_length=64)


def test_damaged_weights_are_told_from_a_model_that_cannot_be_packed() -> None:
    trunk = make_trunk()
    trunk.layers[0].mlp.up_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(RewardLoadError, match="weights are damaged") as caught:
        PackedTrunk(trunk, max_length=64)
    assert not isinstance(caught.value, CannotPackError)


def test_a_trunk_that_breaks_only_when_it_is_packed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = make_trunk()
    forward = trunk.forward
    monkeypatch.setattr(trunk, "forward", lambda input_ids, use_cache: forward(input_ids, use_cache=use_cache))
    with pytest.raises(CannotPackError, match=r"breaks in a packed row and not alone.*unexpected keyword"):
        PackedTrunk(trunk, max_length=64)
    assert trunk.config._attn_implementation != attention.NAME
