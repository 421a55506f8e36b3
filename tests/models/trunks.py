"""Tiny trunks of several families, with heads of random weights; units drawn for them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers

from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput, Reading

torch.set_num_threads(1)  # rows this small are slower with more, and tests run beside others

VOCABULARY = 64
END = 2
"""End of text, and padding too."""

FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Mistral": {"sliding_window": None},
    "Gemma": {"head_dim": 8},
}
"""Those that can be packed, with what their configurations need beside `SIZES`."""

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 256, "initializer_range": 0.2,
    "pad_token_id": END, "eos_token_id": END,
}  # fmt: skip


def make_trunk(family: str = "Llama", **changes: Any) -> Any:
    torch.manual_seed(0)
    options = {**SIZES, **FAMILIES.get(family, {}), **changes}
    config = getattr(transformers, f"{family}Config")(**options)
    return getattr(transformers, f"{family}Model")(config).eval()


def make_head() -> LinearHead:
    weight = torch.randn(1, SIZES["hidden_size"], generator=torch.Generator().manual_seed(1))
    return LinearHead(weight / 4, mean=0.5, std=2.0)


def loader(trunk: Any) -> Callable[[], tuple[Any, LinearHead]]:
    """What a backend is given: a trunk of its own, and the head."""
    return lambda: (copy.deepcopy(trunk), make_head())


def ids(count: int, *, seed: int) -> tuple[int, ...]:
    return tuple(random.Random(seed).choices(range(VOCABULARY), k=count))


def mixed_units() -> list[ModelInput]:
    """Siblings (one without an answer, twins among them), another family of a shorter prompt, single ones between."""
    prompt = ids(40, seed=1)
    shorter = prompt[:20]
    return [
        ModelInput(ids(7, seed=2)),
        ModelInput(prompt + ids(3, seed=3), 40),
        ModelInput(prompt, 40),
        ModelInput(shorter + ids(9, seed=4), 20),
        ModelInput(prompt + ids(30, seed=5), 40),
        ModelInput(ids(1, seed=6)),
        ModelInput(prompt + ids(3, seed=3), 40),
        ModelInput(prompt + ids(1, seed=7), 40),
        ModelInput(shorter, 20),
        ModelInput((END, 5, END, 7, END, END)),
        ModelInput(ids(90, seed=8), 50),
    ]


def readings(answers: Sequence[Reading | Exception]) -> list[Reading]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if isinstance(answer, Reading)]


def farthest(answers: Sequence[Reading | Exception], wanted: Sequence[Reading | Exception]) -> float:
    pairs = zip(readings(answers), readings(wanted), strict=True)
    return max(abs(one.raw - other.raw) for one, other in pairs)
