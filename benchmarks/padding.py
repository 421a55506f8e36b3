"""Tokens that a DeBERTa computes for each real one, by how many texts wait.

A DeBERTa-v2 of one layer and random weights, since only tokens are counted, on the CPU; texts of log-normal lengths
(median 300 tokens, sigma 0.75, clipped to 16 and 512). As many as wait are scored in one call of the padded backend,
which adds up what each row was padded to (`Reading.computed_tokens`). Beside it the same texts as batches of 16 in the
order of arrival, each padded to its longest: what OpenRLHF's serve_rm computes. How rows and steps are laid out depends
on the model's width: counted for 1,024, that of OpenAssistant's reward model.
"""

from __future__ import annotations

import random
from typing import Any

import torch
import transformers
from measuring import arguments, load, report, spread, target
from transformers import DebertaV2Config, DebertaV2Model

from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.padded import PaddedBackend

WAITING = (8, 16, 32, 64, 512)
MEDIAN_LOG, SIGMA, SHORTEST, LONGEST = 5.7, 0.75, 16, 512
VOCABULARY, WIDTH = 512, 1024
ARRIVED = 16


def build() -> tuple[Any, LinearHead]:
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=16, intermediate_size=64,
        max_position_embeddings=LONGEST, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False, type_vocab_size=0, pad_token_id=0,
    )  # fmt: skip
    return DebertaV2Model(config), LinearHead(torch.randn(1, WIDTH))


def draw(count: int, seed: int) -> list[ModelInput]:
    dice = random.Random(seed)
    lengths = [min(LONGEST, max(SHORTEST, round(dice.lognormvariate(MEDIAN_LOG, SIGMA)))) for _ in range(count)]
    return [ModelInput(tuple(dice.randrange(1, VOCABULARY) for _ in range(length))) for length in lengths]


def over_real(backend: PaddedBackend, units: list[ModelInput]) -> float:
    """Computed tokens over real ones."""
    readings = [answer for answer in backend.score(units) if isinstance(answer, Reading)]
    if len(readings) != len(units):
        raise RuntimeError("a text was not scored")
    return sum(reading.computed_tokens for reading in readings) / sum(len(unit.ids) for unit in units)


def in_order_over_real(units: list[ModelInput]) -> float:
    lengths = [len(unit.ids) for unit in units]
    parts = [lengths[at : at + ARRIVED] for at in range(0, len(lengths), ARRIVED)]
    return sum(len(part) * max(part) for part in parts) / sum(lengths)


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    backend = PaddedBackend(build, device="cpu", max_length=LONGEST)
    backend.load()
    rows: dict[str, Any] = {}
    for waiting in WAITING:
        draws = [draw(waiting, seed) for seed in range(asked.rounds)]
        rows[str(waiting)] = {
            "computed_over_real": spread([over_real(backend, units) for units in draws]),
            "in_order_of_arrival": spread([in_order_over_real(units) for units in draws]),
        }
    targets = {
        f"computed_over_real_{waiting}": target(rows[str(waiting)]["computed_over_real"]["median"], at_most=1.1)
        for waiting in WAITING
    }
    software = {"torch": torch.__version__, "transformers": transformers.__version__}
    result = {"rounds": asked.rounds, "software": software, "waiting": rows, "targets": targets}
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
