"""The demo's first half: real model solutions scored through the router, held against human labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rayreward.client import HttpClient
from rayreward.errors import ConfigError
from rayreward.sample import Sample


class Solution(msgspec.Struct):
    """One line of ``examples/gsm8k/solutions.jsonl``."""

    id: str
    prompt: str
    response: str
    label: str
    is_correct: bool


@dataclass(frozen=True)
class Agreement:
    """How the reward and the people who labelled the data agree.

    Attributes:
        sample_count: samples sent.
        agreed_count: scored, and as the label says.
        failure_counts: samples without a score, by kind.
        disagreements: ids of scored samples whose label says otherwise.
    """

    sample_count: int
    agreed_count: int
    failure_counts: dict[str, int]
    disagreements: tuple[str, ...]

    @property
    def share(self) -> float:
        """Agreed over all; a failed sample is no agreement."""
        return self.agreed_count / self.sample_count


def read_solutions(path: Path) -> list[Solution]:
    """The data.

    Raises:
        ConfigError: the file is missing or another one.
    """
    try:
        return [msgspec.json.decode(line, type=Solution) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run the demo in the repository's root (make demo)") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def measure_agreement(solutions: list[Solution], client: HttpClient, *, reward: str) -> Agreement:
    """Score all solutions in one request and compare."""
    samples = [Sample(prompt=one.prompt, response=one.response, label=one.label, id=one.id) for one in solutions]
    outputs = client.score(samples, reward=reward)
    failures = Counter(output.failure.kind.value for output in outputs if output.failure is not None)
    wrong = [
        one.id
        for one, output in zip(solutions, outputs, strict=True)
        if output.score is not None and (output.score >= 0.5) != one.is_correct
    ]
    agreed = len(solutions) - len(wrong) - sum(failures.values())
    return Agreement(len(solutions), agreed, dict(failures), tuple(wrong))
