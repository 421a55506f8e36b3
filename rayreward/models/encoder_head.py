"""Heads of encoders, which read a text's first token.

What arrives: a ``*ForSequenceClassification`` of transformers. What leaves: its trunk, and a head in fp32 that reads
the rows marked ``first``; or, where its head does more than that (a mean over the text, …), the whole model as a trunk
whose rows are its answer. The layers are the model's own, so that nothing is written twice.
Shapes: U units, B rows of a batch, T tokens, H hidden width, L outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from rayreward.models.heads import Head, LinearHead
from rayreward.models.inputs import Reading
from rayreward.models.score_layers import Normalisation

FIRST = "first"
"""The mark of a text's first token."""


class EncoderHead:
    """A model's own layers over the first token's row.

    Args:
        layers: what it applies in turn; copied, and put in fp32.
        takes_text: whether they want [U, 1, H], a text of its first token only, or [U, H].
        normalisation: of the reward.
    """

    marks: tuple[str, ...] = (FIRST,)

    def __init__(self, layers: Sequence[Any], *, takes_text: bool, normalisation: Normalisation | None = None) -> None:
        self._layers = torch.nn.Sequential(*(copy.deepcopy(one) for one in layers)).float().eval()
        self._takes_text, self._normalisation = takes_text, normalisation or Normalisation()

    def to(self, device: Any) -> EncoderHead:
        """Move the weights, in place."""
        self._layers.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """The first tokens' outputs: see `Head.read`."""
        rows_U_H = rows[FIRST]
        raws = self._layers(rows_U_H[:, None, :] if self._takes_text else rows_U_H)[:, 0].tolist()
        return [Reading(raw, self._normalisation.apply(raw)) for raw in raws]


class WholeModel(torch.nn.Module):  # type: ignore[misc] # torch's types are skipped
    """A model with its head as a trunk: each of its hidden rows is the model's answer to the text.

    Its head computes in the trunk's dtype: only what cannot be taken apart is run like this.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model, self.config = model, model.config

    @property
    def dtype(self) -> Any:
        """Of the model."""
        return self._model.dtype

    @property
    def device(self) -> Any:
        """Of the model: the probe at the start asks for it."""
        return self._model.device

    def get_input_embeddings(self) -> Any:
        """Of the model."""
        return self._model.get_input_embeddings()

    def forward(self, input_ids: Any, **options: Any) -> Any:
        """The logits [B, L], at every position."""
        logits_B_L = self._model(input_ids=input_ids, **options).logits
        return _Hidden(logits_B_L[:, None, :].expand(-1, input_ids.shape[1], -1))


class _Hidden(NamedTuple):
    last_hidden_state: Any


def take_apart(model: Any, normalisation: Normalisation) -> tuple[Any, Head]:
    """The trunk and the head of a ``*ForSequenceClassification`` encoder."""
    found = _head_layers(model)
    if found is None:
        return WholeModel(model), LinearHead(torch.ones(1, 1), mean=normalisation.mean, std=normalisation.std)
    trunk = model.base_model
    head = EncoderHead(found.layers, takes_text=found.takes_text, normalisation=normalisation)
    if getattr(trunk, "pooler", None) is not None:
        trunk.pooler = None  # the head has it, in fp32
    return trunk, head


class _HeadLayers(NamedTuple):
    layers: list[Any]
    takes_text: bool


def _head_layers(model: Any) -> _HeadLayers | None:
    """Of encoders whose heads were read and found to look at the first token only; None for all others."""
    kind = model.config.model_type
    if kind in ("bert", "deberta", "deberta-v2"):
        pooler = model.pooler if hasattr(model, "pooler") else model.base_model.pooler
        return _HeadLayers([pooler, model.classifier], takes_text=True)
    if kind in ("roberta", "xlm-roberta", "camembert", "electra"):
        return _HeadLayers([model.classifier], takes_text=True)
    if kind == "distilbert":
        return _HeadLayers([model.pre_classifier, torch.nn.ReLU(), model.classifier], takes_text=False)
    if kind == "modernbert" and model.config.classifier_pooling == "cls":
        return _HeadLayers([model.head, model.classifier], takes_text=False)
    return None
