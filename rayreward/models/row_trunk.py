"""A trunk made to read rows: padded ones, and where its attention allows it rows of several texts.

What arrives: a loaded trunk, and rows of units. What leaves: hidden rows. Several texts share a row where they cannot
see each other there and where each counts positions from its own start: DeBERTa by a mask, since it knows positions
only as distances; BERT and its like by a mask and their positions. It promises that this is checked when the model is
loaded, against each text alone; where it does not hold, each text has a row of its own.

Shapes: B rows, T tokens a row, H hidden width.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rayreward.models.inputs import ModelInput
from rayreward.models.rows import Row

_log = logging.getLogger(__name__)

_COUNTS_FROM_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})
_TAKES_BLOCKS = frozenset({"bert", "electra", *_COUNTS_FROM_PADDING})
"""Encoders without windows or convolutions, whose forward takes positions and a mask of four dimensions."""

_LARGEST_ERROR, _LARGEST_ERROR_HALF = 1e-3, 0.1
"""How far a row may be from that of its text alone, as a part of its length, in fp32 and in 16 bits; a text that sees
its neighbour differs by tens of percent."""


@dataclass(frozen=True)
class Batch:
    """Rows as tensors, [B, T] each.

    Attributes:
        ids: token ids, padded at the right.
        segments: token types, or None where no unit has any.
        texts: which text of its row a token belongs to, from 1 on; 0 is padding.
        positions: of each token in its own text.
    """

    ids: Any
    segments: Any
    texts: Any
    positions: Any


class RowTrunk:
    """Runs rows through a trunk.

    Args:
        trunk: a model of transformers without its head, on its device, in its dtype.

    Attributes:
        shares_rows: whether several texts may share a row.
        vocabulary: ids are below it.
        hidden_width: of its embeddings.
        is_on_cpu: whether it computes there.
    """

    def __init__(self, trunk: Any) -> None:
        self._trunk, self._device = trunk, next(trunk.parameters()).device
        self.is_on_cpu = self._device.type == "cpu"
        self._pad_id = int(getattr(trunk.config, "pad_token_id", None) or 0)
        self._takes_segments = "token_type_ids" in inspect.signature(trunk.forward).parameters
        self.vocabulary, self.hidden_width = map(int, trunk.get_input_embeddings().weight.shape)
        self._blocks = self._choose_blocks()
        self.shares_rows = self._blocks is not None and self._is_exact()
        if not self.shares_rows:
            self._blocks = None

    def run(self, units: Sequence[ModelInput], rows: Sequence[Row]) -> Any:
        """Hidden rows [B, T, H], in the trunk's dtype."""
        batch = self._batch(units, rows)
        if self._blocks is not None and any(len(row.units) > 1 for row in rows):
            return self._blocks(batch)
        options = {} if batch.segments is None or not self._takes_segments else {"token_type_ids": batch.segments}
        mask = (batch.texts > 0).long()
        return self._trunk(input_ids=batch.ids, attention_mask=mask, **options).last_hidden_state

    def _choose_blocks(self) -> Callable[[Batch], Any] | None:
        kind, config = self._trunk.config.model_type, self._trunk.config
        if kind in ("deberta", "deberta-v2") and hasattr(self._trunk, "encoder"):
            looks_beside = (
                getattr(self._trunk.encoder, "conv", None) is not None or getattr(self._trunk, "z_steps", 0) > 1
            )
            return None if looks_beside else self._deberta_blocks
        is_dense = config._attn_implementation in ("eager", "sdpa")
        return self._dense_blocks if kind in _TAKES_BLOCKS and is_dense else None

    def _deberta_blocks(self, batch: Batch) -> Any:
        """Embeddings and encoder one by one: the model's own forward multiplies its embeddings by the mask."""
        embedded = self._trunk.embeddings(
            input_ids=batch.ids, token_type_ids=batch.segments, position_ids=batch.positions,
            mask=(batch.texts > 0).long(),
        )  # fmt: skip
        answer = self._trunk.encoder(embedded, _see_own_text(batch.texts).long(), output_hidden_states=False)
        return answer.last_hidden_state

    def _dense_blocks(self, batch: Batch) -> Any:
        mask = _see_own_text(batch.texts)[:, None, :, :]
        additive = torch.zeros_like(mask, dtype=self._trunk.dtype).masked_fill(
            ~mask, torch.finfo(self._trunk.dtype).min
        )
        first = self._pad_id + 1 if self._trunk.config.model_type in _COUNTS_FROM_PADDING else 0
        options = {} if batch.segments is None else {"token_type_ids": batch.segments}
        answer = self._trunk(
            input_ids=batch.ids, attention_mask=additive, position_ids=batch.positions + first, **options
        )
        return answer.last_hidden_state

    def _batch(self, units: Sequence[ModelInput], rows: Sequence[Row]) -> Batch:
        width = max(row.tokens for row in rows)
        ids, segments, texts, positions = [], [], [], []
        for row in rows:
            inside = [units[at] for at in row.units]
            rest = width - row.tokens
            ids.append([one for unit in inside for one in unit.ids] + [self._pad_id] * rest)
            segments.append([one for unit in inside for one in unit.segments or (0,) * len(unit.ids)] + [0] * rest)
            texts.append([at for at, unit in enumerate(inside, 1) for _ in unit.ids] + [0] * rest)
            positions.append([at for unit in inside for at in range(len(unit.ids))] + [0] * rest)
        has_segments = any(unit.segments for unit in units)

        def tensor(values: list[list[int]]) -> Any:
            return torch.tensor(values, device=self._device)

        return Batch(tensor(ids), tensor(segments) if has_segments else None, tensor(texts), tensor(positions))

    def _is_exact(self) -> bool:
        """Whether texts in one row are read as each alone; asked once, of texts that fit any model."""
        draw = torch.Generator().manual_seed(0)
        low = min(self._pad_id + 1, self.vocabulary - 1)  # none of padding: some models count positions by it
        texts = [torch.randint(low, self.vocabulary, (count,), generator=draw).tolist() for count in (7, 5, 9)]
        units = [ModelInput(tuple(ids)) for ids in texts]
        try:
            with torch.inference_mode():
                shared = self.run(units, [Row(21, (0, 1, 2))])[0].float()
                alone = [self.run([unit], [Row(len(unit.ids), (0,))])[0].float() for unit in units]
        except Exception as error:  # noqa: BLE001 - the boundary: a build of the model that takes other arguments
            _log.warning("texts do not share rows, the model cannot be asked for it: %s", error)
            return False
        expected = torch.cat(alone)
        distance = float(((shared - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-6)).mean())
        limit = _LARGEST_ERROR if self._trunk.dtype == torch.float32 else _LARGEST_ERROR_HALF
        if not distance <= limit:
            _log.warning("texts do not share rows: they would differ by %.2g of their length from each alone", distance)
            return False
        return True


def _see_own_text(texts_B_T: Any) -> Any:
    """[B, T, T]: whether a token sees another: both are of one text. Padding sees itself, so that no row is empty."""
    return texts_B_T[:, :, None] == texts_B_T[:, None, :]
