"""The samples that a reward is checked with.

What arrives: a data file and how many samples may be used. What leaves: some of its samples, the same ones every time,
whole groups where the reward compares groups, in the file's order. Where a file has no responses its labels serve as
such: a reward should pay for them.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

from rayreward.errors import ConfigError
from rayreward.grouping import positions_of_groups
from rayreward.sample import Sample
from rayreward.scoring import Columns, DataFile
from rayreward.scoring.columns import LABEL_KEYS

_MAX_LINES = 20_000
"""Lines that are chosen from: what is behind them in a huge file would only cost memory and time."""


@dataclass(frozen=True)
class Material:
    """Samples, and what they are.

    Attributes:
        names: one a sample, for a person: its line.
        units: positions of samples that must come in one call: single ones, or the groups.
        are_labels: whether the responses are the data's own labels.
        malformed: lines that are no sample; `first_malformed` says what is wrong with one.
        source: the file.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    units: tuple[tuple[int, ...], ...]
    are_labels: bool = False
    malformed: int = 0
    first_malformed: str | None = None
    source: str = ""


def read_material(path: Path, asked: Columns, *, limit: int, by_group: bool) -> Material:
    """Up to `limit` samples of a file; at least one whole group where `by_group`.

    Raises:
        ConfigError: the file cannot be read, its columns do not fit, or it holds no sample.
    """
    data = open_data(path, asked)
    samples, lines, malformed = [], [], []
    for row in itertools.islice(data.rows(), _MAX_LINES):
        if isinstance(row.item, Sample):
            samples.append(row.item)
            lines.append(row.number)
        else:
            malformed.append(str(row.item.failure))
    if not samples:
        reason = malformed[0] if malformed else "it is empty"
        raise ConfigError(f"{path}: holds no sample to check a reward with; {reason}")
    kept = choose_positions(samples, limit=limit, by_group=by_group)
    chosen = tuple(samples[position] for position in kept)
    return Material(
        samples=chosen,
        names=tuple(f"line {lines[position]}" for position in kept),
        units=units_of(chosen, by_group=by_group),
        are_labels=data.columns.response is not None and data.columns.response == data.columns.label,
        malformed=len(malformed),
        first_malformed=malformed[0] if malformed else None,
        source=str(path),
    )


def open_data(path: Path, asked: Columns) -> DataFile:
    """The file; where it has no response, or nothing but an answer, that column is both response and label.

    Raises:
        ConfigError: it cannot be read, or its columns do not fit.
    """
    try:
        data = DataFile(path, asked)
    except ConfigError:
        if asked.response is not None or asked.messages is not None:
            raise
        for key in LABEL_KEYS if asked.label is None else (asked.label,):
            try:
                return DataFile(path, dataclasses.replace(asked, response=key, label=key))
            except ConfigError:
                continue
        raise
    found = data.columns
    if found.label is None and asked.response is None and found.response in LABEL_KEYS:
        return DataFile(path, dataclasses.replace(asked, response=found.response, label=found.response))
    return data


def units_of(samples: tuple[Sample, ...], *, by_group: bool) -> tuple[tuple[int, ...], ...]:
    """Which positions must come in one call."""
    if by_group:
        return tuple(map(tuple, positions_of_groups(samples)))
    return tuple((position,) for position in range(len(samples)))


def choose_positions(samples: list[Sample], *, limit: int, by_group: bool) -> list[int]:
    """Positions from all over the file, in its order; files are often sorted, so the first ones would mislead."""
    units = list(units_of(tuple(samples), by_group=by_group))
    random.Random(0).shuffle(units)
    kept: list[int] = []
    for unit in units:
        if not kept or len(kept) + len(unit) <= limit:
            kept += unit
    return sorted(kept)
