"""What a reward model reads, and what it answers.

What arrives: token ids, made by a `rayreward.models` template where samples are; a backend never sees text. What
leaves: a reading a unit, in fp32, raw and normalised. Both are plain values without torch, so that they can be made on
a machine that has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One unit that a model scores: a conversation, or an ordered pair of candidates.

    Attributes:
        ids: token ids at their true length: no padding, every special token written out.
        prefix_tokens: `ids[:prefix_tokens]` is the prompt, which siblings share; 0 where it is not known. Units whose
            prefixes are equal may have them computed once.
        segments: token type ids, one an id, for encoders that take them; empty else.
        marks: positions in `ids` that the head reads beside the last one: ``{"gate": (12,)}``, ``{"step": (40, 81)}``.
        truncated_tokens: how many tokens of the prompt were cut to fit.
    """

    ids: tuple[int, ...]
    prefix_tokens: int = 0
    segments: tuple[int, ...] = ()
    marks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    truncated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model says of one unit.

    Attributes:
        raw: what the head computes, in fp32.
        score: `raw` after the checkpoint's own normalisation, ``(raw - mean) / std``; equal to it where there is none.
        heads: further outputs by name: the objectives of a model with several.
        steps: one number a mark named "step", from process reward models.
        computed_tokens: what the device worked through for this unit: less than its ids where a prefix was shared, more
            where it was padded.
    """

    raw: float
    score: float
    heads: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[float, ...] = ()
    computed_tokens: int = 0
