from __future__ import annotations

import pytest
import torch

from rayreward.models.memory import is_out_of_memory, release_cached


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_these_mean_that_the_step_was_too_large(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_so_does_what_this_torch_says_of_more_memory_than_any_machine_has() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.float32)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("CUDA out of memory")])
def test_these_do_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_cached_memory_is_released_without_a_gpu_too() -> None:
    release_cached()
