from __future__ import annotations

import pytest
import torch

from rayreward.errors import RewardLoadError
from rayreward.models.placing import is_device_lost, place
from tests.models.trunks import make_head, make_trunk


def test_the_trunk_changes_its_dtype_and_the_head_stays_in_fp32() -> None:
    trunk, head = place(make_trunk(), make_head(), device="cpu", dtype="bfloat16")
    assert {weight.dtype for weight in trunk.parameters()} == {torch.bfloat16}
    assert trunk.rotary_emb.inv_freq.dtype == torch.float32, "rounded, they are other positions"
    assert head.read({"last": torch.ones(1, 32)}, {"last": [1]})[0].raw != 0
    assert not any(weight.requires_grad for weight in trunk.parameters())
    assert not trunk.training


@pytest.mark.parametrize(("device", "dtype"), [("cuda:77", None), ("cpu", "int8"), ("warp", None)])
def test_a_device_or_a_dtype_that_is_not_there_is_named(device: str, dtype: str | None) -> None:
    with pytest.raises(RewardLoadError, match=device if dtype is None else dtype):
        place(make_trunk(), make_head(), device=device, dtype=dtype)


def test_a_failed_kernel_takes_the_device_with_it_and_too_little_memory_does_not() -> None:
    assert is_device_lost(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_device_lost(RuntimeError("CUDA error: out of memory"))
    assert not is_device_lost(IndexError("index out of range in self"))
