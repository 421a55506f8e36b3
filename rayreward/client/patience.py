"""Waits for a reward that nobody answers for.

What arrives: samples, and a way to ask for their outputs. What leaves: outputs; those that came back as `unavailable`
were asked for again until somebody answered or the time was up. A training pauses meanwhile: that is better than to
learn from what stands in for scores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

PAUSE_S = 2.0
"""Between two attempts; the calls themselves retry faster."""

Ask = Callable[[Sequence[Sample]], Awaitable[list[RewardOutput]]]


async def score_patiently(
    ask: Ask,
    samples: Sequence[Sample],
    *,
    wait_s: float,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    before_waiting: Callable[[], None] = lambda: None,
) -> list[RewardOutput]:
    """One output a sample, in order.

    Args:
        ask: for outputs.
        samples: to score.
        wait_s: how long to go on asking.
        now: the clock, in seconds.
        sleep: how to wait.
        before_waiting: is called before each pause, and may raise to end the waiting.
    """
    give_up_s = now() + wait_s
    outputs = await ask(samples)
    while (lost := positions_unavailable(outputs)) and now() < give_up_s:
        before_waiting()
        await sleep(PAUSE_S)
        again = await ask([samples[position] for position in lost])
        for position, output in zip(lost, again, strict=True):
            outputs[position] = output
    return outputs


def positions_unavailable(outputs: Sequence[RewardOutput]) -> list[int]:
    """Which of the samples nobody has answered for."""
    kind = FailureKind.UNAVAILABLE
    return [at for at, output in enumerate(outputs) if output.failure is not None and output.failure.kind is kind]
