"""What the benchmarks of reward models score, and whom they are compared with: no weights, no network, no Ray.

Lengths are log-normal (median 300, sigma 0.75, clipped to 50 and 1500), as answers in chat data are. Ids are drawn. The
trunk is a Llama of random weights; its head is scaled so that scores have a standard deviation of 1, which a trained
model's have and a random one's have not: errors are told as parts of it.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput


class Shape(NamedTuple):
    """Of a Llama-style decoder."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int

    @property
    def linear_weights(self) -> int:
        """That every token is multiplied with: embeddings are looked up."""
        kv = self.width * self.kv_heads // self.heads
        return self.layers * (2 * self.width * self.width + 2 * self.width * kv + 3 * self.width * self.inner)

    def useful_flops(self, lengths: Sequence[int]) -> float:
        """Of units that are computed each for itself, without padding; attention is causal."""
        attention = sum(2 * self.layers * self.width * length * length for length in lengths)
        return 2.0 * self.linear_weights * sum(lengths) + attention


SHAPES = {
    "tiny": Shape(layers=2, width=64, heads=4, kv_heads=2, inner=128, vocabulary=1000),
    "50m": Shape(layers=10, width=640, heads=10, kv_heads=5, inner=1728, vocabulary=16000),
    "8b": Shape(layers=32, width=4096, heads=32, kv_heads=8, inner=14336, vocabulary=128256),
}


def build_trunk(shape: Shape, *, device: str = "cpu", dtype: Any = torch.float32) -> Any:
    """Random weights, made where they are needed."""
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, intermediate_size=shape.inner,
        max_position_embeddings=4096,
    )  # fmt: skip
    default = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaModel(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(default)


def build_head(shape: Shape, scores: Callable[[LinearHead], Sequence[float]]) -> Any:
    """A head's weight [1, H] by which `scores` have a standard deviation of 1."""
    weight = torch.randn(1, shape.width, generator=torch.Generator().manual_seed(0))
    return weight / statistics.stdev(scores(LinearHead(weight)))


def draw_units(
    shape: Shape, count: int, *, seed: int, median: int = 300, shortest: int = 50, longest: int = 1500
) -> list[ModelInput]:
    """Units of different lengths, in the order in which they arrive."""
    draw = random.Random(seed)
    lengths = [round(math.exp(draw.gauss(math.log(median), 0.75))) for _ in range(count)]
    return [
        ModelInput(tuple(draw.choices(range(shape.vocabulary), k=max(shortest, min(longest, length)))))
        for length in lengths
    ]


def draw_siblings(
    shape: Shape, groups: int, *, seed: int, count: int = 8, prompt_tokens: int = 500
) -> list[ModelInput]:
    """`count` answers to each of `groups` prompts; answers of a median of 150 tokens."""
    units = []
    for group in range(groups):
        [prompt] = draw_units(shape, 1, seed=1000 * seed + group, shortest=prompt_tokens, longest=prompt_tokens)
        answers = draw_units(shape, count, seed=1000 * seed + group + 500, median=150, shortest=25, longest=750)
        units += [ModelInput(prompt.ids + answer.ids, prompt_tokens) for answer in answers]
    return units


class PaddedInOrder:
    """What serve_rm does with ``--batch_size``: batches in order of arrival, padded on the left to the longest."""

    def __init__(self, trunk: Any, head: LinearHead, batch: int) -> None:
        self._trunk, self._head, self._batch = trunk, head, batch

    @torch.inference_mode()
    def score(self, units: Sequence[ModelInput]) -> list[float]:
        """One score a unit, in order."""
        scores: list[float] = []
        for start in range(0, len(units), self._batch):
            scores += self._score_batch(units[start : start + self._batch])
        return scores

    def _score_batch(self, units: Sequence[ModelInput]) -> list[float]:
        longest = max(len(unit.ids) for unit in units)
        ids = torch.tensor([(0,) * (longest - len(unit.ids)) + unit.ids for unit in units])
        mask = torch.tensor([(0,) * (longest - len(unit.ids)) + (1,) * len(unit.ids) for unit in units])
        positions = (mask.cumsum(-1) - 1).masked_fill_(mask == 0, 1)
        device = next(self._trunk.parameters()).device
        hidden = self._trunk(
            input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=positions.to(device), use_cache=False
        ).last_hidden_state
        readings = self._head.read({"last": hidden[:, -1].float()}, {"last": [1] * len(units)})
        return [reading.score for reading in readings]


def padded_tokens(units: Sequence[ModelInput], batch: int) -> int:
    """What such batches compute."""
    batches = [units[start : start + batch] for start in range(0, len(units), batch)]
    return sum(len(one) * max(len(unit.ids) for unit in one) for one in batches)


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """The correlation of ranks; drawn scores have no ties."""

    def ranks(values: Sequence[float]) -> list[float]:
        order = sorted(range(len(values)), key=values.__getitem__)
        return [float(order.index(at)) for at in range(len(values))]

    return statistics.correlation(ranks(left), ranks(right))


def differences(scores: Sequence[float], wanted: Sequence[float]) -> dict[str, float]:
    """How far scores are from those that they should be, also as parts of their standard deviation."""
    apart = [abs(score - right) for score, right in zip(scores, wanted, strict=True)]
    std = statistics.stdev(wanted)
    return {
        "units": len(wanted), "std": std, "mean": statistics.mean(apart), "max": max(apart),
        "mean_of_std": statistics.mean(apart) / std, "max_of_std": max(apart) / std,
        "spearman": spearman(scores, wanted),
    }  # fmt: skip
