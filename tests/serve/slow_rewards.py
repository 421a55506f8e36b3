"""Rewards that take as long as a file says. Imported in worker processes: nothing heavy here."""

import asyncio
import os
import time
from pathlib import Path

from rayreward import RewardFunction, RewardOutput, reward_function


def waits(response):
    """A response "until FILE" takes until FILE is there, and "until FILE once" only where nobody has waited before."""
    if response.startswith("until "):
        file, *once = response.split()[1:]
        begun = Path(f"{file}.begun")
        is_first = not begun.exists()
        with begun.open("a") as lines:
            lines.write(f"{os.getpid()}\n")  # Ray's print, in a replica, writes a tuple
        while not Path(file).exists() and (is_first or not once):
            time.sleep(0.01)
    return float(len(response))


async def waits_async(response):
    """The same on the event loop."""
    if response.startswith("until "):
        file = Path(response.split()[1])
        with Path(f"{file}.begun").open("a") as lines:  # noqa: ASYNC230 - a line
            lines.write(f"{os.getpid()}\n")
        while not file.exists():  # noqa: ASYNC110, ASYNC240 - nothing announces it
            await asyncio.sleep(0.01)
    return float(len(response))


@reward_function(isolation="inline")
async def at_once(response):
    """Without waiting, as a judge would with."""
    return 0.0


class AnswersInTurn(RewardFunction):
    """Knows samples one after the other, on its thread; those that are to wait, at the end."""

    isolation = "thread"
    answers_each = True

    async def answer_each(self, samples, answer):
        for at, sample in enumerate(samples):
            if not sample.response.startswith("until "):
                answer(at, RewardOutput(float(len(sample.response))))
        for at, sample in enumerate(samples):
            if sample.response.startswith("until "):
                answer(at, RewardOutput(waits(sample.response)))

    async def ascore(self, samples):
        raise NotImplementedError("a replica asks for each")
