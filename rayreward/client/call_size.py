"""What one call of a client that coalesces carries, and how many are under way."""

from __future__ import annotations

from rayreward.batches import DIRECT_MAX_BYTES
from rayreward.router.batching import BatchLimits

SLOTS = 2
"""Calls under way at once that need not be full: one is being scored while the next fills."""

FULL_SLOTS = 6
"""Further ones for calls that are full: a call comes back when its last sample is scored, and many replicas need more
than two calls' samples to be busy until then."""

LIMITS = BatchLimits(max_samples=512, max_bytes=DIRECT_MAX_BYTES)
"""A burst of a thousand samples is two calls: while a replica scores the one, client and router work on the other.
Callers that ask again as soon as they are answered have 1.4 times the samples a second of one call, for the same CPU;
in four calls what each costs (about 2 ms of CPU a hop) is more than what they win.

The bytes are what Ray's direct transport takes; its object store costs about twice the CPU.
"""
