"""The golden probe, run: a loaded backend beside the plain forward of the same weights.

What arrives: a trunk and its head, then the backend that has taken them over. What leaves: nothing where it scores as
the plain forward does, else a `RewardLoadError` that names the unit which is off by most. The plain forward runs first,
on the very trunk that the backend will run, so that nothing is in memory twice; what it computes are a few hundred
tokens of a large model, and fewer than 4,096 of any.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.backend import Backend
from rayreward.models.golden import START_UNITS, ProbeUnit, Vocabulary, build_probe
from rayreward.models.inputs import Reading
from rayreward.models.positions import position_limit
from rayreward.models.reference import PlainBackend
from rayreward.models.verdict import Verdict, compare

_log = logging.getLogger(__name__)

_START_OPERATIONS = 40e9
"""Multiplications that the probe at a start may cost on a CPU, about a second: 4,096 tokens of a 10M model."""

_GPU_FACTOR = 100
"""How many times as many a GPU has: 500 tokens of an 8B model."""

_LEAST_TOKENS, _MOST_TOKENS = 320, 4096
"""Of all units together. With fewer they would be too short to differ; with more nothing new is seen."""


def vocabulary_of(trunk: Any) -> Vocabulary:
    """What the probe has to know, from the trunk's own embedding and configuration.

    Ids of the configuration count, since that is what a model was trained with; a tokenizer is not needed.
    """
    config = trunk.config
    size = int(trunk.get_input_embeddings().weight.shape[0])
    ids = {name: _one_id(getattr(config, f"{name}_token_id", None), size) for name in ("bos", "eos", "pad")}
    return Vocabulary(size, ids["bos"], ids["eos"], frozenset(one for one in ids.values() if one is not None))


def _one_id(value: Any, size: int) -> int | None:
    """Llama 3 names several ends of text: the first."""
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    return value if isinstance(value, int) and 0 <= value < size else None


class StartProbe:
    """What the plain forward says of a few units, to be compared with what a backend says.

    Args:
        name: of the model, for messages.
        trunk: placed on its device, and not yet packed.
        head: the same.
        dtype: of the trunk.
        max_length: of a unit.
    """

    def __init__(self, name: str, trunk: Any, head: Any, *, dtype: str, max_length: int) -> None:
        self._name, self._dtype = name, dtype
        longest = min(max_length, position_limit(trunk.config) or max_length)
        plain = PlainBackend(lambda: (trunk, head), device=str(trunk.device), max_length=longest)
        plain.load()
        self.units = build_probe(
            vocabulary_of(trunk),
            max_length=plain.max_length,
            budget_tokens=_budget_tokens(trunk),
            count=START_UNITS,
            marks=head.marks,
        )
        self.references = plain.score([one.unit for one in self.units])

    def check(self, backend: Backend) -> Verdict:
        """Compare.

        Raises:
            RewardLoadError: the backend does not score as the plain forward does.
        """
        answers = backend.score([one.unit for one in self.units])
        return require(self._name, self.units, answers, self.references, dtype=self._dtype)


def require(
    name: str,
    units: Sequence[ProbeUnit],
    answers: Sequence[Reading | Exception],
    references: Sequence[Reading | Exception],
    *,
    dtype: str,
) -> Verdict:
    """The verdict where it is met.

    Raises:
        RewardLoadError: it is not.
    """
    verdict = compare(units, answers, references, dtype=dtype)
    if not verdict.is_met:
        raise RewardLoadError(
            f"{name!r} is not served: what was loaded does not score as the plain forward of the same weights does "
            f"({dtype}): {verdict}. `rayreward verify-model` shows all of it; backend='plain' is exact; probe=False "
            f"serves it all the same"
        )
    _log.info("%s scores as its plain forward does: %s", name, "; ".join(map(str, verdict.gates)))
    return verdict


def _budget_tokens(trunk: Any) -> int:
    parameters = sum(one.numel() for one in trunk.parameters())
    affordable = _START_OPERATIONS * (1 if trunk.device.type == "cpu" else _GPU_FACTOR) / max(1, parameters)
    return int(min(_MOST_TOKENS, max(_LEAST_TOKENS, affordable)))
