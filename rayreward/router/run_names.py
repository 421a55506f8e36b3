"""The run's name on the samples of rewards that count by run, such as judges with a budget.

What arrives: samples and the run that asks for them. What leaves: copies with its name in their metadata; one that has
a name of its own keeps it. Callers' samples stay as they are, and so do the keys of what is remembered of them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from rayreward.sample import Sample

RUN = "run"
"""In a sample's metadata."""


def named(samples: Sequence[Sample], run: str) -> list[Sample]:
    """The samples with the run's name.

    Example:
        >>> [sample.metadata for sample in named([Sample(response="4", metadata={"level": 3})], "run-1")]
        [{'level': 3, 'run': 'run-1'}]
    """
    return [sample if RUN in sample.metadata else _with_run(sample, run) for sample in samples]


def _with_run(sample: Sample, run: str) -> Sample:
    changed = copy.copy(sample)
    object.__setattr__(changed, "metadata", {**sample.metadata, RUN: run})  # nobody else has seen this copy yet
    return changed
