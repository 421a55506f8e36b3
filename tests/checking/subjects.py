"""Rewards to check, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rayreward import RewardFunction, Sample
from rayreward.checking.material import Material, units_of
from rayreward.checking.subject import Subject

SUMS = tuple(Sample(prompt=f"{n} + {n}?", response=f"It is {2 * n + n % 2}", label=str(2 * n)) for n in range(1, 11))
"""Ten sums, of which every other one is right."""


def material(samples: tuple[Sample, ...] = SUMS, *, by_group: bool = False) -> Material:
    names = tuple(f"line {number}" for number in range(1, len(samples) + 1))
    return Material(samples, names, units_of(samples, by_group=by_group), source="sums.jsonl")


def subject(function: Callable[..., Any], samples: tuple[Sample, ...] = SUMS) -> Subject:
    reward = RewardFunction(func=function)
    given = material(samples, by_group=reward.compares_groups)
    return Subject(reward.ascore, given, reward.compares_groups, reward.scores_batches)


def last_word(response: str, label: str) -> float:
    return float(response.split()[-1:] == [label])
