"""The C heap of the service's own processes: what one burst needed is kept for the next.

What arrives: the wish. What leaves: glibc's allocator with other thresholds. Where another C library allocates (musl, a
Mac's), or the environment has already told glibc's what to do, nothing is changed.

By default glibc gives the heap's end back to the kernel as soon as a few megabytes are free there, and a request of
1,024 samples of 4 KB frees that much again and again, in every copy on its way. Taken anew, each page costs a fault:
three a sample in the router and two in a replica, which was 10 and 3 us of a sample's 30 and 17 (a virtual machine, Ray
2.55). Kept, no fault is left. At most `KEPT_BYTES` stay with each thread that has ever needed them.
"""

from __future__ import annotations

import ctypes
import os

KEPT_BYTES = 64 * 2**20
"""What may lie free at a heap's end: several of the largest messages that travel directly."""

MAPPED_BYTES = 32 * 2**20
"""From so many on a block is mapped, and goes back when it is freed: as far as glibc itself goes in the end. It must be
said here, for whoever sets the other threshold has fixed this one too."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_OWNERS_WORDS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_heap() -> bool:
    """Keep what was freed, in this process, from now on; False where that is not ours to say."""
    if any(word in os.environ for word in _OWNERS_WORDS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
