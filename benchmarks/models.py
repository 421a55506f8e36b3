"""Decoder reward models on CPUs: the packed backend against padded batches, one by one, and itself without sharing.

A Llama-style decoder of 55.7M random weights (10 layers, 640 wide, grouped attention 10/5) in fp32. Each round scores
16 new units of log-normal lengths (median 300, sigma 0.75, clipped to 50 and 1500) in three ways: one batch padded on
the left, in order of arrival, as OpenRLHF's serve_rm makes them with --batch_size 16; one by one, which is what it does
with its own trainer's traffic; and packed. Then 8 answers to one 500-token prompt, packed with the prompt shared
and without. Rounds alternate between the ways; ratios are of CPU seconds within a round, `total` of all rounds
together. Exactness: packed and shared against the plain forward of each unit alone, in fp32 and in bf16 (against fp32),
of shorter units; the head is scaled so that scores have a standard deviation of 1. Throughput in bf16 is measured only
where the CPU multiplies it by itself (AMX, AVX512-BF16): elsewhere torch emulates it, and nobody would serve so.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait shall not count as work

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from measuring import load, report, spreads, target
from model_shapes import (
    SHAPES,
    PaddedInOrder,
    build_head,
    build_trunk,
    differences,
    draw_siblings,
    draw_units,
    padded_tokens,
)

from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput
from rayreward.models.packed import PackedBackend
from rayreward.models.placing import place
from rayreward.models.reference import PlainBackend

BATCH = 16
SHAPE = SHAPES["50m"]
Score = Callable[[Sequence[ModelInput]], Any]


def packed(trunk: Any, weight: Any, *, shares_prefixes: bool = True, dtype: str | None = None) -> PackedBackend:
    backend = PackedBackend(
        lambda: (copy.deepcopy(trunk), LinearHead(weight)), device="cpu", dtype=dtype, shares_prefixes=shares_prefixes
    )
    backend.load()
    return backend


def plain(trunk: Any, weight: Any, *, dtype: str | None = None) -> PlainBackend:
    backend = PlainBackend(lambda: (copy.deepcopy(trunk), LinearHead(weight)), device="cpu", dtype=dtype)
    backend.load()
    return backend


def scores_of(backend: PackedBackend | PlainBackend, units: Sequence[ModelInput]) -> list[float]:
    answers = backend.score(units)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer.score for answer in answers if not isinstance(answer, Exception)]


def spent(score: Score, units: Sequence[ModelInput]) -> tuple[float, float]:
    """CPU seconds and seconds."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    score(units)
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def rounds_of(ways: dict[str, Score], draws: Sequence[Sequence[ModelInput]], *, slowest: str) -> dict[str, Any]:
    """Every way in every round, and how many times less CPU each takes than the slowest."""
    figures: list[dict[str, float]] = []
    total: dict[str, float] = dict.fromkeys(ways, 0.0)
    for units in draws:
        costs = {name: spent(score, units) for name, score in ways.items()}
        figures.append(
            {
                **{f"{name}_per_cpu_s": len(units) / cpu_s for name, (cpu_s, _) in costs.items()},
                **{f"{name}_per_s": len(units) / wall_s for name, (_, wall_s) in costs.items()},
                **{f"{name}_times_less_cpu": costs[slowest][0] / cpu_s for name, (cpu_s, _) in costs.items()},
            }
        )
        total = {name: total[name] + cpu_s for name, (cpu_s, _) in costs.items()}
    return {
        "rounds": len(draws), "units": sum(map(len, draws)), **spreads(figures),
        "total_times_less_cpu": {name: total[slowest] / cpu_s for name, cpu_s in total.items()},
    }  # fmt: skip


def throughput(trunk: Any, weight: Any, rounds: int) -> dict[str, Any]:
    backend, alone = packed(trunk, weight), plain(trunk, weight)
    ways: dict[str, Score] = {
        "padded_16": PaddedInOrder(trunk, LinearHead(weight), BATCH).score,
        "one_by_one": lambda units: scores_of(alone, units),
        "packed": lambda units: scores_of(backend, units),
    }
    draws = [draw_units(SHAPE, BATCH, seed=seed) for seed in range(rounds)]
    units = [unit for drawn in draws for unit in drawn]
    tokens = sum(len(unit.ids) for unit in units)
    return {
        **rounds_of(ways, draws, slowest="padded_16"), "tokens": tokens,
        "padded_tokens_over_real": padded_tokens(units, BATCH) / tokens,
    }  # fmt: skip


def siblings(trunk: Any, weight: Any, rounds: int) -> dict[str, Any]:
    sharing, independent = packed(trunk, weight), packed(trunk, weight, shares_prefixes=False)
    draws = [draw_siblings(SHAPE, 1, seed=seed) for seed in range(rounds)]
    ways: dict[str, Score] = {
        "independent": lambda units: scores_of(independent, units),
        "shared": lambda units: scores_of(sharing, units),
    }
    tokens = sum(len(unit.ids) for drawn in draws for unit in drawn)
    computed = sum(500 + sum(len(unit.ids) - 500 for unit in drawn) for drawn in draws)
    return {
        **rounds_of(ways, draws, slowest="independent"),
        "tokens": tokens, "computed_tokens": computed, "ideal_times_less": tokens / computed,
    }  # fmt: skip


def exactness(trunk: Any, weight: Any, units: Sequence[ModelInput]) -> dict[str, Any]:
    wanted = scores_of(plain(trunk, weight), units)
    found = {
        "fp32_packed": scores_of(packed(trunk, weight, shares_prefixes=False), units),
        "fp32_shared": scores_of(packed(trunk, weight), units),
        "fp32_padded_16": PaddedInOrder(trunk, LinearHead(weight), BATCH).score(units),
        "bf16_one_by_one": scores_of(plain(trunk, weight, dtype="bfloat16"), units),
        "bf16_shared": scores_of(packed(trunk, weight, dtype="bfloat16"), units),
    }
    return {name: differences(scores, wanted) for name, scores in found.items()}


def short_units() -> list[ModelInput]:
    """Alone and siblings, of few tokens: bf16 is slow where the CPU has none."""
    alone = draw_units(SHAPE, 16, seed=90, median=50, shortest=10, longest=150)
    families = draw_siblings(SHAPE, 2, seed=91, count=8, prompt_tokens=60)
    return [*alone, *(ModelInput(unit.ids[:140], unit.prefix_tokens) for unit in families)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds; medians are of them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="a JSON file beside what is printed")
    asked, load_before = parser.parse_args(), load()
    torch.set_num_threads(asked.threads)
    trunk, units = build_trunk(SHAPE), short_units()
    weight = build_head(SHAPE, lambda head: scores_of(plain(trunk, head._weight_L_H), units))
    result: dict[str, Any] = {
        "software": {
            "torch": torch.__version__, "transformers": transformers.__version__, "threads": asked.threads,
            "instructions": torch.backends.cpu.get_cpu_capability(),
        },
        "exactness": exactness(trunk, weight, units),
        "throughput_fp32": throughput(trunk, weight, asked.rounds),
        "siblings_fp32": siblings(trunk, weight, asked.rounds),
    }  # fmt: skip
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        half, _ = place(copy.deepcopy(trunk), LinearHead(weight), device="cpu", dtype="bfloat16")
        result["throughput_bf16"] = throughput(half, weight, asked.rounds)
        result["siblings_bf16"] = siblings(half, weight, asked.rounds)
    else:
        result["throughput_bf16"] = "not measured: this CPU has no instructions for it, and torch emulates it"
    exact = result["exactness"]
    result["targets"] = {
        "fp32_packed_max": target(exact["fp32_packed"]["max"], at_most=1e-4),
        "fp32_shared_max": target(exact["fp32_shared"]["max"], at_most=1e-4),
        "bf16_mean_of_std": target(exact["bf16_shared"]["mean_of_std"], at_most=0.03),
        "bf16_max_of_std": target(exact["bf16_shared"]["max_of_std"], at_most=0.2),
        "bf16_spearman": target(exact["bf16_shared"]["spearman"], at_least=0.995),
        "packed_times_less_cpu_than_padded_16": target(
            result["throughput_fp32"]["packed_times_less_cpu"]["median"], at_least=3
        ),
        "shared_times_less_cpu_than_independent": target(
            result["siblings_fp32"]["shared_times_less_cpu"]["median"], at_least=2.3
        ),
    }
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
