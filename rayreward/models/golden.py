"""The golden probe: the units by which a backend is compared with the plain forward.

What arrives: the facts of a model's vocabulary. What leaves: units, the same ones every time for the same facts. Pure:
no model is run here (see `rayreward.models.probing`), nothing is judged (`rayreward.models.verdict`), and neither
torch nor transformers is imported.

What the units have in them is what has changed scores silently before: the end-of-text token inside of a text, where it
is the padding token too; texts with and without it at their end; lengths from a few tokens to the model's limit; and
siblings that share a prompt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rayreward.models.inputs import ModelInput

FULL_UNITS = 32
"""Of ``rayreward verify-model``: 24 lengths and 8 siblings."""

START_UNITS = 8
"""At a replica's start: 5 lengths and 3 siblings."""

SHORTEST_TOKENS = 16
_SEED = 20240229
"""Of the token ids. Another seed is another probe, whose numbers cannot be compared with earlier ones."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the probe has to know of a model's tokens.

    Attributes:
        size: of the embedding; ids are below it.
        bos: begins a text; None where the model has none.
        eos: ends a text, or None. It may be the padding token too.
        special: ids that stand for no text; the probe's own text uses none of them.
    """

    size: int
    bos: int | None = None
    eos: int | None = None
    special: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ProbeUnit:
    """One unit of the probe, and what it is for."""

    purpose: str
    unit: ModelInput


def build_probe(
    vocabulary: Vocabulary,
    *,
    max_length: int,
    budget_tokens: int,
    count: int = FULL_UNITS,
    marks: Sequence[str] = (),
    has_segments: bool = False,
) -> list[ProbeUnit]:
    """The units, deterministic in what is given.

    Args:
        vocabulary: the model's.
        max_length: of a unit, in tokens.
        budget_tokens: of all units together, so that a probe of a large model ends; the longest give way.
        count: of units; a quarter of them, two at least, are siblings.
        marks: what the head reads beside the last token; see `ModelInput.marks`.
        has_segments: whether the model takes token types.

    Example:
        >>> probe = build_probe(Vocabulary(100, bos=1, eos=2), max_length=64, budget_tokens=2000)
        >>> len(probe), max(len(one.unit.ids) for one in probe)
        (32, 64)
    """
    dice = random.Random(_SEED)
    text = [one for one in range(vocabulary.size) if one not in vocabulary.special] or list(range(vocabulary.size))
    siblings = max(2, count // 4)
    lengths = _lengths(count - siblings, max_length=max_length, budget_tokens=budget_tokens * 3 // 4)
    writer = _Writer(vocabulary, text, dice, marks, has_segments)
    units = [ProbeUnit(_PURPOSES[at % 3], writer.lone(tokens, at % 3)) for at, tokens in enumerate(lengths)]
    shared = min(max(4, min(max_length // 2, budget_tokens // 4 // siblings // 2, 512)), max_length - 1)
    return units + [ProbeUnit("sibling", unit) for unit in writer.siblings(siblings, shared, max_length)]


_PURPOSES = ("ends with EOS", "EOS inside", "no EOS at its end")


@dataclass(slots=True)
class _Writer:
    vocabulary: Vocabulary
    text: Sequence[int]
    dice: random.Random
    marks: Sequence[str]
    has_segments: bool

    def lone(self, tokens: int, variant: int) -> ModelInput:
        ids = self._words(tokens)
        eos = self.vocabulary.eos
        if eos is not None and variant < 2:
            ids[-1] = eos
        if eos is not None and variant == 1 and tokens > 2:
            # In the middle, and doubled before the end: where it is the padding token, whoever looks for the last
            # token that is no padding goes wrong.
            ids[tokens // 2] = ids[-2] = eos
        return self._unit(ids, prefix_tokens=tokens // 2)

    def siblings(self, count: int, shared: int, max_length: int) -> list[ModelInput]:
        prompt = self._words(shared)
        units = []
        for at in range(count):
            tokens = min(max_length - shared, max(2, shared // 4 + 3 * at))
            answer = self.dice.choices(self.text, k=tokens)
            if self.vocabulary.eos is not None:
                answer[-1] = self.vocabulary.eos
            units.append(self._unit([*prompt, *answer], prefix_tokens=shared))
        return units

    def _words(self, tokens: int) -> list[int]:
        ids = self.dice.choices(self.text, k=tokens)
        if self.vocabulary.bos is not None and ids:
            ids[0] = self.vocabulary.bos
        return ids

    def _unit(self, ids: list[int], prefix_tokens: int) -> ModelInput:
        segments = (0,) * len(ids) if self.has_segments else ()
        return ModelInput(tuple(ids), prefix_tokens, segments, self._marked(len(ids), prefix_tokens))

    def _marked(self, tokens: int, prefix_tokens: int) -> dict[str, tuple[int, ...]]:
        """The first token for encoders, a gate at the prompt's end, steps in the answer, all else in order."""
        others = [name for name in self.marks if name not in ("first", "gate", "step")]
        marked: dict[str, tuple[int, ...]] = {
            name: (tokens * (at + 1) // (len(others) + 1),) for at, name in enumerate(others)
        }
        if "first" in self.marks:
            marked["first"] = (0,)
        if "gate" in self.marks:
            marked["gate"] = (max(0, prefix_tokens - 1),)
        if "step" in self.marks:
            marked["step"] = tuple(sorted({prefix_tokens, (prefix_tokens + tokens) // 2, tokens - 1}))
        return marked


def _lengths(count: int, *, max_length: int, budget_tokens: int) -> list[int]:
    """Log-spaced, shortest first; the longest is as long as the budget lets it."""
    shortest = min(SHORTEST_TOKENS, max_length)

    def spaced(longest: int) -> list[int]:
        ratio = longest / shortest
        return [round(shortest * ratio ** (at / max(1, count - 1))) for at in range(count)]

    low, high = shortest, max_length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(spaced(middle)) <= budget_tokens else (low, middle - 1)
    return spaced(low)
