"""Rewards as users write them, some of them wrong."""

from __future__ import annotations

import os
import random
import time
from typing import Any

from rayreward import RewardFunction, reward_function


def last_word(response: str, label: str) -> float:
    return float(response.split()[-1:] == [label])


def dice(response: str) -> float:
    return random.random()


def by_hash(response: str) -> float:
    return float(hash(response) % 1000)


@reward_function(timeout_s=0.3)
def hangs_on_nothing(response: str, label: str) -> float:
    if not response:
        time.sleep(100)
    return float(response.split()[-1:] == [label])


@reward_function(isolation="inline", timeout_s=0.2)
def hangs_always(response: str) -> float:
    while True:
        pass


def dies_on_nothing(response: str, label: str) -> float:
    if not response:
        os._exit(3)
    return float(response.split()[-1:] == [label])


def share(response: str, label: str) -> float:
    words = response.split()
    return sum(word == label for word in words) / len(words) if words else float("nan")


def needs_key(response: str, key: str) -> float:
    return 1.0


class Ending(RewardFunction):
    def __init__(self, mark: str = ".") -> None:
        self.mark = mark

    def compute_reward(self, trajectory: Any) -> float:
        return float(trajectory.response.endswith(self.mark))
