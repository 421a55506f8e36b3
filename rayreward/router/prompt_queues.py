"""A queue a replica, so that all samples of a prompt go to one.

What arrives: `score` calls of any size. What leaves: calls that each name the replica they are for; one output a
sample, in its order. It has the interface of `Coalescer`, and is several of them.

What it gives up is work conservation: a replica may stand idle while another's prompts wait. What it never does is to
keep a sample for a replica that is gone: whoever carries the calls gives those to any other. While nobody is known to
run there is one queue, for whoever comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rayreward.batches import OutputBatch
from rayreward.router.affinity import choose_replica, prompt_key
from rayreward.router.batching import Waiting
from rayreward.router.coalescer import Coalescer, CoalescerStats, Send, closed_output
from rayreward.router.sizing import Spread
from rayreward.sample import Sample
from rayreward.types import RewardOutput


@dataclass(frozen=True, slots=True)
class Aimed:
    """Replicas that can be called one by one.

    Attributes:
        running: who runs now, by id; empty where nobody is known to.
        send_to: what carries batches to one of them, and to any other where that one is gone or full.
    """

    running: Callable[[], Sequence[str]]
    send_to: Callable[[str], Send]


class PromptQueues:
    """One `Coalescer` a replica.

    Args:
        running: who runs now.
        open_queue: makes the queue of a replica; of whoever is there where it is None.
    """

    def __init__(self, running: Callable[[], Sequence[str]], open_queue: Callable[[str | None], Coalescer]) -> None:
        self._running, self._open = running, open_queue
        self._queues: dict[str | None, Coalescer] = {}
        self._takes_turns = self._is_closed = False
        self._call_tokens: int | None = None
        self.stats = CoalescerStats()

    @property
    def waiting_count(self) -> int:
        """Samples that no batch has taken yet."""
        return sum([queue.waiting_count for queue in self._queues.values()])

    @property
    def waiting(self) -> Waiting:
        """How much they are."""
        return Waiting(*map(sum, zip(Waiting(), *[queue.waiting for queue in self._queues.values()], strict=True)))

    async def score(
        self, samples: Sequence[Sample], *, timeout_s: float | None = None, rank: int = 0, caller: str = ""
    ) -> list[RewardOutput]:
        """One output a sample, in order; see `Coalescer.score`."""
        if self._is_closed:
            return [closed_output()] * len(samples)
        running = self._running()
        positions: dict[str | None, list[int]] = {}
        for position, sample in enumerate(samples):
            positions.setdefault(choose_replica(prompt_key(sample), running), []).append(position)
        queues = {replica: self._queue(replica, running) for replica in positions}
        if len(queues) == 1:
            [queue] = queues.values()
            return await queue.score(samples, timeout_s=timeout_s, rank=rank, caller=caller)
        scored = await asyncio.gather(
            *(
                queues[replica].score([samples[at] for at in own], timeout_s=timeout_s, rank=rank, caller=caller)
                for replica, own in positions.items()
            )
        )
        outputs = {
            at: output
            for own, found in zip(positions.values(), scored, strict=True)
            for at, output in zip(own, found, strict=True)
        }
        return OutputBatch(outputs[at] for at in range(len(samples)))

    def take_turns(self, takes_turns: bool) -> None:
        """Whether a replica takes its calls in turn."""
        self._takes_turns = takes_turns
        for queue in self._queues.values():
            queue.take_turns(takes_turns)

    def limit_tokens(self, call_tokens: int | None) -> None:
        """What the reward says that a call should carry; see `Coalescer.limit_tokens`."""
        self._call_tokens = call_tokens
        for queue in self._queues.values():
            queue.limit_tokens(call_tokens)

    def resize(self, slot_count: int, spread: Spread | None = None) -> None:
        """Each replica has the slots that it has, however many there are."""

    async def close(self) -> None:
        """Take nothing more; see `Coalescer.close`."""
        self._is_closed = True
        await asyncio.gather(*(queue.close() for queue in self._queues.values()))

    def _queue(self, replica: str | None, running: Sequence[str]) -> Coalescer:
        queue = self._queues.get(replica)
        if queue is None:
            self._forget_all_but(running)
            queue = self._queues[replica] = self._open(replica)
            queue.stats = self.stats  # counted together, and kept when a replica goes
            queue.take_turns(self._takes_turns)
            queue.limit_tokens(self._call_tokens)
        return queue

    def _forget_all_but(self, running: Sequence[str]) -> None:
        """Replicas that are gone leave a queue behind, which is of no use once it is empty."""
        for replica in [one for one, queue in self._queues.items() if one not in running and queue.is_idle]:
            del self._queues[replica]
