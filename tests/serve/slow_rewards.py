"""Rewards that take as long as a file says. Imported in worker processes: nothing heavy here."""

import os
import time
from pathlib import Path

from rayreward import RewardFunction, RewardOutput


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
