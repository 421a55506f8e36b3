"""The same units through the packed backend and through vLLM's engine, on a CPU, in fp32.

A Llama-style decoder of 55.7M random weights (10 layers, 640 wide, grouped attention 10/5), written as a checkpoint
that both load. Each round scores new units of log-normal lengths (median 300, sigma 0.75, clipped to 50 and 1500), then
8 answers to one 500-token prompt, which both compute once; the two take turns at going first. CPU seconds are those of
all processes: vLLM's engine is one of its own. Ratios are of CPU seconds within a round, `total` of all rounds
together. Exactness: every unit of both against the plain forward, by the gates of ``rayreward verify-model``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait shall not count as work

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from measuring import cpu_s_of, load, report, spreads, started_processes, target
from model_shapes import SHAPES, build_head, build_trunk, draw_siblings, draw_units

from rayreward.models.golden import ProbeUnit
from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.packed import PackedBackend
from rayreward.models.reference import PlainBackend
from rayreward.models.verdict import compare
from rayreward.models.vllm_backend import VllmBackend

LONGEST = 2048


def write_checkpoint(folder: Path, trunk: Any, weight: Any) -> None:
    """As a ``LlamaForSequenceClassification`` with one label."""
    from transformers import LlamaForSequenceClassification

    trunk.config.num_labels = 1
    trunk.config.pad_token_id = None
    model = LlamaForSequenceClassification(trunk.config)
    model.model.load_state_dict(trunk.state_dict())
    model.score.weight.data.copy_(weight)
    model.save_pretrained(folder)


def readings(answers: Sequence[Reading | Exception]) -> list[Reading]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if isinstance(answer, Reading)]


def spent(backend: Any, units: Sequence[ModelInput]) -> tuple[float, float, list[Reading]]:
    """CPU seconds of all processes, seconds, and the answers."""
    processes = [psutil.Process(), *started_processes()]
    wall_s, cpu_s = time.perf_counter(), cpu_s_of(processes)
    answers = readings(backend.score(units))
    return cpu_s_of(processes) - cpu_s, time.perf_counter() - wall_s, answers


def rounds_of(backends: dict[str, Any], draws: Sequence[Sequence[ModelInput]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures, and each backend's readings."""
    figures: list[dict[str, float]] = []
    total = dict.fromkeys(backends, 0.0)
    found: dict[str, list[Reading]] = {name: [] for name in backends}
    for at, units in enumerate(draws):
        costs: dict[str, tuple[float, float]] = {}
        for name in list(backends) if at % 2 == 0 else list(backends)[::-1]:
            cpu_s, wall_s, answers = spent(backends[name], units)
            costs[name], total[name] = (cpu_s, wall_s), total[name] + cpu_s
            found[name] += answers
        figures.append(
            {
                **{f"{name}_per_cpu_s": len(units) / cpu_s for name, (cpu_s, _) in costs.items()},
                **{f"{name}_per_s": len(units) / wall_s for name, (_, wall_s) in costs.items()},
                "vllm_over_packed": costs["packed"][0] / costs["vllm"][0],
            }
        )
    return {
        "rounds": len(draws), "units": sum(map(len, draws)), **spreads(figures),
        "total_vllm_over_packed": total["packed"] / total["vllm"],
    }, found  # fmt: skip


def exactness(plain: PlainBackend, draws: Sequence[Sequence[ModelInput]], found: dict[str, Any]) -> dict[str, Any]:
    units = [unit for drawn in draws for unit in drawn]
    references = plain.score(units)
    probed = [ProbeUnit("drawn", unit) for unit in units]
    verdicts = {name: compare(probed, answers, references, dtype="float32") for name, answers in found.items()}
    return {
        name: target(max(row.difference or 0.0 for row in verdict.rows), at_most=1e-4) | {"std": verdict.std}
        for name, verdict in verdicts.items()
    }


def run(shape_name: str, rounds: int, count: int) -> dict[str, Any]:
    shape = SHAPES[shape_name]
    trunk = build_trunk(shape)
    few = draw_units(shape, 16, seed=999, median=60, longest=100)

    def scores(head: LinearHead) -> list[float]:
        plain = PlainBackend(lambda: (trunk, head), device="cpu")
        plain.load()
        return [one.score for one in readings(plain.score(few))]

    weight = build_head(shape, scores)
    plain = PlainBackend(lambda: (trunk, LinearHead(weight)), device="cpu")
    plain.load()
    draws = [draw_units(shape, count, seed=seed) for seed in range(rounds)]
    siblings = [draw_siblings(shape, 1, seed=seed) for seed in range(rounds)]
    with tempfile.TemporaryDirectory() as name:
        write_checkpoint(Path(name), trunk, weight)
        vllm = VllmBackend(name, dtype="float32", max_length=LONGEST, max_step_tokens=8192)
        started_s = time.perf_counter()
        vllm.load()
        start_s = time.perf_counter() - started_s
        try:
            packed = PackedBackend(lambda: (build_trunk(shape), LinearHead(weight)), device="cpu", max_length=LONGEST)
            packed.load()
            backends = {"packed": packed, "vllm": vllm}
            for backend in backends.values():
                readings(backend.score(few))  # the first step allocates
            mixed, found_mixed = rounds_of(backends, draws)
            shared, found_shared = rounds_of(backends, siblings)
        finally:
            vllm.close()
    return {
        "shape": shape_name,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "vllm_start_s": start_s,
        "mixed_lengths": mixed,
        "siblings": shared,
        "largest_difference": {
            "mixed_lengths": exactness(plain, draws, found_mixed),
            "siblings": exactness(plain, siblings, found_shared),
        },
        "targets": {"vllm_over_packed": target(mixed["total_vllm_over_packed"], at_least=0.9)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds; medians are of them")
    parser.add_argument("--units", type=int, default=16, help="of mixed lengths, a round")
    parser.add_argument("--shape", default="50m", choices=["tiny", "50m"])
    parser.add_argument("--out", type=Path, help="a JSON file beside what is printed")
    given = parser.parse_args()
    before = load()
    report(__doc__, run(given.shape, given.rounds, given.units), given.out, load_before=before)


if __name__ == "__main__":  # vLLM's engine imports this module again
    main()
