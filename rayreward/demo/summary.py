"""What the demo proves, as one file.

What arrives: what the phases measured. What leaves: ``summary.json`` and the verdict: the list of claims that do not
hold, empty where all do.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from rayreward.log.record import LogRecord

_EDGE_STEPS = 3
"""Steps that the first and the last mean are taken over: one step's noise is about 0.05."""

_RISE = 0.5
"""By how much the reward must rise, on its scale of 0 to 1."""

_MATCH = 1e-3
"""How far the router's mean of a step may be from OpenRLHF's: it computes in 32-bit floats."""

_MIN_STEPS = 30


@dataclass(frozen=True)
class Summary:
    """What ``runs/demo/summary.json`` holds.

    Attributes:
        samples_scored: of the data set, not of the training.
        failures: samples of both halves without a score, by kind.
        reward_first, reward_last: means of the first and last three steps, by OpenRLHF's log.
        rewards_match: whether the router's own mean of each step equals OpenRLHF's to 0.001.
        phases_s: seconds a phase.
    """

    gsm8k_agreement: float
    samples_scored: int
    samples_trained: int
    failures: dict[str, int]
    steps: int
    reward_first: float | None
    reward_last: float | None
    rewards: list[float]
    router_rewards: list[float]
    rewards_match: bool
    components_first: dict[str, float]
    components_last: dict[str, float]
    phases_s: dict[str, float]
    seed: int
    run_id: str
    openrlhf_version: str
    ray_version: str
    vllm_version: str
    rayreward_version: str

    def broken_claims(self) -> list[str]:
        """What the demo promises and this run does not show."""
        claims = []
        if self.steps < _MIN_STEPS:
            claims.append(f"the training took {self.steps} steps; at least {_MIN_STEPS} were expected")
        if self.reward_first is None or self.reward_last is None or self.reward_last < self.reward_first + _RISE:
            claims.append(f"the reward did not rise by {_RISE}: first {self.reward_first}, last {self.reward_last}")
        if not self.rewards_match:
            claims.append("the router's rewards differ from those that OpenRLHF logged")
        return claims

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2) + b"\n")


def read_run(folder: Path, run_id: str) -> list[LogRecord]:
    """The reward log's records of one run, in the order they were answered."""
    lines = [line for path in sorted(folder.glob("rewards-*.jsonl")) for line in path.read_bytes().splitlines()]
    records = [msgspec.json.decode(line, type=LogRecord) for line in lines]
    return sorted((one for one in records if one.run == run_id and not one.is_shadow), key=lambda one: one.time_s)


def means_of_steps(records: Sequence[LogRecord], samples_per_step: int) -> list[float]:
    """The mean of what was answered in each step: a synchronous training asks for one step's samples at a time."""
    answered = [one.answered for one in records if one.answered is not None]
    steps = [answered[at : at + samples_per_step] for at in range(0, len(answered), samples_per_step)]
    return [statistics.fmean(step) for step in steps]


def means_of_components(records: Sequence[LogRecord]) -> dict[str, float]:
    """The mean of each component over records."""
    names = {name for one in records for name in one.components}
    columns = {name: [one.components.get(name) for one in records] for name in sorted(names)}
    return {
        name: statistics.fmean(value for value in column if value is not None)
        for name, column in columns.items()
        if any(value is not None for value in column)
    }


def edge_mean(values: Sequence[float], *, last: bool) -> float | None:
    """The mean of the first or the last steps; None without steps."""
    edge = values[-_EDGE_STEPS:] if last else values[:_EDGE_STEPS]
    return statistics.fmean(edge) if edge else None


def is_match(trained: Sequence[float], routed: Sequence[float]) -> bool:
    """Whether both sides saw the same steps with the same means."""
    return len(trained) == len(routed) > 0 and all(
        abs(one - other) <= _MATCH for one, other in zip(trained, routed, strict=True)
    )
