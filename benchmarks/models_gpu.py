"""Decoder reward models on one GPU: the packed backend against serve_rm's ways, and against what the GPU multiplies.

Needs torch, transformers and this repository on PYTHONPATH; no Ray, no vLLM, no network, no weights: a Llama of the 8B
shape is made of random bf16 numbers on the device. The peak is that of one large bf16 matrix product in the same
process. Each round scores the same 256 units of log-normal lengths (median 300, sigma 0.75, clipped to 50 and 1500) one
by one (OpenRLHF's serve_rm with its own trainer's traffic), in batches of 16 padded on the left in order of arrival,
and packed in steps of 4096, 8192 and 16384 tokens; then 8 answers to each of 8 500-token prompts, packed with the
prompts shared and without. Rounds alternate, after one that is not counted; a way's figure is its median.
`fraction_of_peak` counts the arithmetic that the units need, no padding, and siblings' prompts once each where they are
shared. Exactness is against the plain forward in fp32. At the end the device's memory is filled until steps of 65536
tokens cannot fit, and all units must be scored nevertheless, in smaller steps.

It has no result yet: it was run on a CPU only, as ``python benchmarks/models_gpu.py --shape tiny``. Its target is 60 %
of the peak with steps of 16384 tokens.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from model_shapes import (
    SHAPES,
    PaddedInOrder,
    Shape,
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
from rayreward.models.reference import PlainBackend

STEPS_TOKENS = (4096, 8192, 16384)
PROMPT_TOKENS = 500
LEFT_BYTES = 3 << 30
"""What is left of the device's memory when steps shall not fit: less than 65536 tokens of the 8B shape take."""

Score = Callable[[Sequence[ModelInput]], Sequence[float]]


def seconds(call: Callable[[], Any], device: str) -> float:
    """By the clock, with all that was asked of the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    started_s = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_s


def peak_flops(shape: Shape, device: str) -> float:
    """A second, of a matrix product like the model's largest."""
    rows = 8192 if device == "cuda" else 512
    left, right = (torch.randn(rows, shape.width), torch.randn(shape.width, shape.inner))
    left, right = (one.to(device=device, dtype=torch.bfloat16) for one in (left, right))
    times_s = [seconds(lambda: left @ right, device) for _ in range(30)]
    return 2.0 * rows * shape.width * shape.inner / statistics.median(times_s[10:])


def checked(backend: PackedBackend | PlainBackend, units: Sequence[ModelInput]) -> list[float]:
    scores = []
    for answer in backend.score(units):
        if isinstance(answer, Exception):
            raise answer
        scores.append(answer.score)
    return scores


def in_steps(backend: PackedBackend, tokens: int, *, shares_prefixes: bool = True) -> Score:
    def score(units: Sequence[ModelInput]) -> list[float]:
        backend.max_step_tokens, backend.shares_prefixes = tokens, shares_prefixes
        return checked(backend, units)

    return score


def measured(ways: dict[str, Score], units: Sequence[ModelInput], *, rounds: int, device: str) -> dict[str, Any]:
    """Seconds of every way in every round, and the memory that it took beside what was there."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    memory: dict[str, float] = {}
    for number in range(rounds + 1):
        for name, score in ways.items():
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            taken_s = seconds(lambda score=score: score(units), device)  # type: ignore[misc]
            if number:
                times[name].append(taken_s)
            if device == "cuda":
                memory[name] = (torch.cuda.max_memory_allocated() - before) / 2**30
    return {
        name: {
            "seconds": statistics.median(taken), "min_s": min(taken), "max_s": max(taken),
            "units_per_s": len(units) / statistics.median(taken), "activations_gib": memory.get(name),
        }
        for name, taken in times.items()
    }  # fmt: skip


def out_of_memory(backend: PackedBackend, units: Sequence[ModelInput]) -> dict[str, Any]:
    """A device that is nearly full: how far the budget falls, and whether every unit is scored as before."""
    backend.max_step_tokens = STEPS_TOKENS[-1]
    wanted = checked(backend, units)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(max(0, free - LEFT_BYTES), dtype=torch.uint8, device="cuda")
    backend.max_step_tokens = 65536
    taken_s = seconds(lambda: None, "cuda")
    started_s = time.perf_counter()
    answers = backend.score(units)
    taken_s = time.perf_counter() - started_s
    del ballast
    scores = [answer.score for answer in answers if not isinstance(answer, Exception)]
    return {
        "budget_before": 65536, "budget_after": backend.max_step_tokens, "seconds": taken_s, "units": len(units),
        "scored": len(scores),
        "differences": differences(scores, wanted) if len(scores) == len(wanted) else None,
    }  # fmt: skip


def machine(device: str) -> dict[str, Any]:
    software = {"torch": torch.__version__, "transformers": transformers.__version__}
    if device != "cuda":
        return {"device": "cpu", **software}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1), "cuda": torch.version.cuda,
        **software,
    }  # fmt: skip


def exactness(shape: Shape, trunk: Any, packed: PackedBackend, weight: Any, units: Sequence[ModelInput]) -> Any:
    """bf16 alone and packed against the plain forward in fp32."""
    exact = PlainBackend(lambda: (copy.deepcopy(trunk).float(), LinearHead(weight)))
    exact.load()
    wanted = checked(exact, units)
    exact.close()
    alone = PlainBackend(lambda: (trunk, LinearHead(weight)))
    alone.load()
    return {
        "bf16_one_by_one": differences(checked(alone, units), wanted),
        "bf16_packed": differences(in_steps(packed, 16384)(units), wanted),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="8b")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--groups", type=int, default=8, help="of 8 siblings each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file beside what is printed")
    asked = parser.parse_args()
    started_s, device, shape = time.perf_counter(), "cuda" if torch.cuda.is_available() else "cpu", SHAPES[asked.shape]
    peak = peak_flops(shape, device)
    trunk = build_trunk(shape, device=device, dtype=torch.bfloat16)
    units = draw_units(shape, asked.units, seed=0)
    siblings = draw_siblings(shape, asked.groups, seed=1, prompt_tokens=PROMPT_TOKENS)
    few = [*units[:24], *siblings[:8]]

    def scores(head: LinearHead) -> list[float]:
        backend = PlainBackend(lambda: (trunk, head))
        backend.load()
        return checked(backend, few)

    weight = build_head(shape, scores)
    alone = PlainBackend(lambda: (trunk, LinearHead(weight)))
    alone.load()
    packed = PackedBackend(lambda: (copy.deepcopy(trunk), LinearHead(weight)))
    packed.load()
    ways: dict[str, Score] = {
        "one_by_one": lambda some: checked(alone, some),
        "padded_16": PaddedInOrder(trunk, LinearHead(weight).to(device), 16).score,
        **{f"packed_{tokens}": in_steps(packed, tokens) for tokens in STEPS_TOKENS},
    }
    families: dict[str, Score] = {
        "independent": in_steps(packed, 16384, shares_prefixes=False),
        "shared": in_steps(packed, 16384),
    }
    lengths, sibling_lengths = ([len(unit.ids) for unit in some] for some in (units, siblings))
    throughput = measured(ways, units, rounds=asked.rounds, device=device)
    sharing = measured(families, siblings, rounds=asked.rounds, device=device)
    once = asked.groups * shape.useful_flops([PROMPT_TOKENS])
    needed = {name: shape.useful_flops(sibling_lengths) for name in families}
    needed["shared"] += once - len(siblings) * shape.useful_flops([PROMPT_TOKENS])
    for way in throughput.values():
        way["fraction_of_peak"] = shape.useful_flops(lengths) / way["seconds"] / peak
    for name, way in sharing.items():
        way["fraction_of_peak"] = needed[name] / way["seconds"] / peak
    result = {
        "method": __doc__, "machine": machine(device), "shape": {asked.shape: shape._asdict()},
        "attention_by_one_kernel": packed._trunk is not None and packed._trunk.uses_kernel,
        "peak_tflops": peak / 1e12, "tokens": sum(lengths),
        "padded_tokens_over_real": padded_tokens(units, 16) / sum(lengths), "throughput": throughput,
        "siblings": {
            **sharing, "ideal_times_less": needed["independent"] / needed["shared"],
            "times_faster": sharing["independent"]["seconds"] / sharing["shared"]["seconds"],
        },
        "exactness": exactness(shape, trunk, packed, weight, few),
        "out_of_memory": out_of_memory(packed, units) if device == "cuda" else "only on a GPU",
        "target_fraction_of_peak": 0.6, "fraction_of_peak": throughput["packed_16384"]["fraction_of_peak"],
        "seconds": time.perf_counter() - started_s,
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
