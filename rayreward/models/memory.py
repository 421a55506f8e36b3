"""A device that has no more memory: told from other errors, and made to let go of what it keeps.

What arrives: an exception of torch. What leaves: whether it means that the step was too large.
"""

from __future__ import annotations

import gc

_PHRASES = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
)
"""What torch's plain `RuntimeError` says where it has no class of its own for it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller step could have fit.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
        True
        >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        False
    """
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


def release_cached() -> None:
    """Hand back what the failed step left: call it when its exception, which holds its tensors, is gone."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
