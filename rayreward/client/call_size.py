"""What one call of a client that coalesces carries, and how many are under way."""

from __future__ import annotations

from rayreward.batches import DIRECT_MAX_BYTES
from rayreward.router.batching import BatchLimits

SLOTS = 2
"""Calls under way at once that need not be full: one is being scored while the next fills."""

FULL_SLOTS = 6
"""Further ones for calls that are full: a call comes back when its last sample is scored, and many replicas need more
than two calls' samples to be busy until then."""

LIMITS = BatchLimits(max_samples=1024, max_bytes=DIRECT_MAX_BYTES)
"""A burst of a thousand samples of 2 KB is one call. Larger ones would leave Ray's direct transport for its object
store, which costs about twice the CPU."""
