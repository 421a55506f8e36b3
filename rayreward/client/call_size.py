"""What one call of a client that coalesces carries, and how many are under way."""

from __future__ import annotations

from rayreward.batches import DIRECT_MAX_BYTES
from rayreward.router.batching import BatchLimits

SLOTS = 2
"""Calls under way at once: one is being scored while the next fills."""

LIMITS = BatchLimits(max_samples=1024, max_bytes=DIRECT_MAX_BYTES)
"""A burst of a thousand samples of 2 KB is one call. Larger ones would leave Ray's direct transport for its object
store, which costs about twice the CPU."""
