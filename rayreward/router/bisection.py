"""One bad sample does not cost its batch: a call that fails as a whole is tried again in halves.

What arrives: batches, and what sends them. What leaves: one output a sample, in order; where a call raised, gave the
wrong number of outputs, or failed all its samples alike, the samples of the halves that succeed keep their scores.

What is tried is bounded: one bad sample in a batch of n is alone after 2 log2(n) further calls, and more than twice
that is never spent, so that a reward that is broken altogether is not asked n times. A service that is not there, a
deadline and a refusal are nobody's sample's fault: those are not tried again here. A group stays together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rayreward.batches import AskedAgain, EarlyBatch
from rayreward.outcome import failed_output, to_outputs
from rayreward.router.coalescer import Send
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

_BLAMABLE = frozenset({FailureKind.ERROR, FailureKind.CRASHED, FailureKind.INVALID_OUTPUT, FailureKind.INVALID_INPUT})
"""Failures that one sample of a call can have caused for all."""

_CALLS_A_LEVEL = 4
"""Calls allowed for each halving that it takes to find one sample: two bad ones are found wherever they are."""


def bisecting(send: Send, *, scores_one_by_one: Callable[[], bool]) -> Send:
    """`send`, with halves tried where a whole call fails.

    Args:
        send: the call.
        scores_one_by_one: whether the reward scores each sample by itself; its failures are then each sample's own
            however alike they are, and only a call that raises is tried again.
    """

    async def send_in_parts(batch: list[Sample]) -> Sequence[RewardOutput]:
        if isinstance(batch, AskedAgain):
            return await send(batch)  # they were part of a call of which something is known
        outputs = await _attempt(send, batch)
        if not outputs.is_blamable(scores_one_by_one()):
            return outputs.outputs
        budget = _CALLS_A_LEVEL * (len(batch) - 1).bit_length()
        parts, found = [(0, len(batch))], list(outputs.outputs)
        tickets: dict[int, str] = {}
        while parts and budget >= 2:
            start, end = parts.pop()
            middle = _middle(batch, start, end)
            if middle is None:
                continue
            for low, high in ((start, middle), (middle, end)):
                budget -= 1
                part = await _attempt(send, batch[low:high])
                found[low:high] = part.outputs
                if isinstance(part.outputs, EarlyBatch):
                    tickets |= {low + at: ticket for at, ticket in part.outputs.tickets.items()}
                if part.is_blamable(scores_one_by_one()):
                    parts.append((low, high))
        return EarlyBatch.without(found, tickets) if tickets else found

    return send_in_parts


class _Attempt:
    """What one call brought."""

    def __init__(self, outputs: Sequence[RewardOutput], *, is_whole: bool) -> None:
        self.outputs, self._is_whole = outputs, is_whole

    def is_blamable(self, scores_one_by_one: bool) -> bool:
        """Whether all failed alike, by something that one of them may have caused."""
        if len(self.outputs) < 2 or (scores_one_by_one and not self._is_whole):
            return False
        first = self.outputs[0].failure
        if first is None or first.kind not in _BLAMABLE:
            return False
        return all(output.failure == first for output in self.outputs)


async def _attempt(send: Send, batch: list[Sample]) -> _Attempt:
    try:
        answered = await send(batch)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever broke the call is a failure of its samples
        return _Attempt([failed_output(error)] * len(batch), is_whole=True)
    has_count = isinstance(answered, list) and len(answered) == len(batch)
    if has_count and isinstance(answered[0], RewardOutput) and answered[0].failure is None:
        return _Attempt(answered, is_whole=False)  # as it came: whoever asked reads each output anyway
    return _Attempt(to_outputs(answered, len(batch)), is_whole=not has_count)


def _middle(batch: Sequence[Sample], start: int, end: int) -> int | None:
    """Where to cut: near the middle, between two groups; None where all is one group or one sample."""
    cuts = [
        at for at in range(start + 1, end) if batch[at].group_id is None or batch[at].group_id != batch[at - 1].group_id
    ]
    return min(cuts, key=lambda at: abs(at - (start + end) // 2), default=None)
