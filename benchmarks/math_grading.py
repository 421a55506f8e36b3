"""The math reward against people, against scores, against itself, against hostile answers, and against the clock.

Agreement: the GSM8K model solutions of four models against their human labels, and sampled outputs of Qwen2.5-Math
against their scores. Variants: of the answers of MATH-500, equivalent forms that must be accepted and near misses
that must be refused, made by rules (`math_variants.py`). Hostile answers (`hostile_mathematics.py`) are all asked at
once, one call each, among healthy ones; how long each took counts from then. Throughput: the same outputs, on one
thread, with nothing kept from the round before and SymPy out of the collector's way for both (a replica freezes its
heap), against math-verify's own parse and verify, of the whole response where it holds a box and of the extracted
answer where it does not; rounds alternate. Disagreements are listed. The data is read from ``--data``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from hostile_mathematics import HOSTILE
from math_variants import equivalents, near_misses
from math_verify import parse, verify
from measuring import cpu_s_of, load, report, spreads, started_processes, target

from rayreward.grading.extract import extract_answer
from rayreward.grading.reader import read_answer
from rayreward.rewards.math import MathReward, _gold_from_text
from rayreward.sample import Sample
from rayreward.types import RewardOutput

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
TIMEOUT_S = 3.0
"""Of the hostile round: a sample's deadline."""

HEALTHY = (
    ("exact", "7", r"\boxed{7}", 1.0),
    ("exact, wrong", "7", r"\boxed{8}", 0.0),
    ("math-verify", r"1+\sqrt{2}", r"\boxed{\sqrt{3+2\sqrt{2}}}", 1.0),
    ("math-verify, of angles", "1", r"\boxed{\sin^2 x + \cos^2 x}", 1.0),
)
COPIES = 4
REPEATED = 5
"""Times that the faster one is measured in a round, for a median: it takes no longer than a hiccup of the machine."""


class Judged(NamedTuple):
    """A response, and what others say of it."""

    where: str
    label: str
    response: str
    is_right: bool


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def gsm8k(data: Path) -> list[Judged]:
    return [
        Judged(f"question {at}, {model}", row["ground_truth"], row[model]["solution"], row[model]["is_correct"])
        for at, row in enumerate(lines(data / "gsm8k_model_solutions.jsonl"))
        for model in MODELS
    ]


def qwen(data: Path) -> list[Judged]:
    return [
        Judged(f"question {row['idx']}, output {at}", row["gt"], code, is_right)
        for row in lines(data / "qwen_math_outputs.jsonl")
        for at, (code, is_right) in enumerate(zip(row["code"], row["score"], strict=True))
    ]


class Cost(NamedTuple):
    """Of one sample, in microseconds: by the clock, and of all CPUs, processes that were started for it among them."""

    wall_us: float
    cpu_us: float


class Clock:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._processes = [psutil.Process(), *started_processes()]
        self._wall_s, self._cpu_s = time.perf_counter(), self._spent_s()

    def _spent_s(self) -> float:
        # This process's own by its finer clock; that of others counts hundredths of a second.
        return time.process_time() + cpu_s_of(self._processes[1:])

    def read(self, count: int) -> Cost:
        """What was spent since, a sample."""
        wall_s, cpu_s = time.perf_counter() - self._wall_s, self._spent_s() - self._cpu_s
        return Cost(1e6 * wall_s / count, 1e6 * cpu_s / count)


def samples_of(judged: Sequence[Judged]) -> list[Sample]:
    return [Sample(prompt="", response=one.response, label=one.label) for one in judged]


def agreement(reward: MathReward, judged: Sequence[Judged]) -> dict[str, Any]:
    outputs = reward.score(samples_of(judged))
    differing = [
        {
            "where": one.where,
            "label_says": one.is_right,
            "score": output.score,
            "why": output.reason or str(output.failure),
        }
        for one, output in zip(judged, outputs, strict=True)
        if output.score != float(one.is_right)
    ]
    return {
        "samples": len(judged), "agreement": 1 - len(differing) / len(judged), "disagreements": differing,
        "decided_by_math_verify": _symbolic(outputs),
    }  # fmt: skip


def _symbolic(outputs: Sequence[RewardOutput]) -> int:
    return sum(output.failure is not None or output.metrics["symbolic"].score == 1 for output in outputs)


def variants(reward: MathReward, data: Path) -> dict[str, Any]:
    asked = [
        (is_right, kind, row["answer"], text)
        for row in lines(data / "math500.jsonl")
        for is_right, made in ((True, equivalents), (False, near_misses))
        for kind, text in made(row["answer"])
    ]
    outputs = reward.score([Sample(prompt="", response=rf"\boxed{{{text}}}", label=gold) for _, _, gold, text in asked])
    wrong: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for (is_right, kind, gold, text), output in zip(asked, outputs, strict=True):
        if output.score != float(is_right) and (is_right or output.failure is None):
            wrong[is_right].append(
                {"kind": kind, "gold": gold, "text": text, "why": output.reason or str(output.failure)}
            )
    count = Counter(is_right for is_right, *_ in asked)
    return {
        "equivalents": count[True], "near_misses": count[False], "kinds": len({(one[0], one[1]) for one in asked}),
        "false_rejects": len(wrong[True]) / count[True], "false_accepts": len(wrong[False]) / count[False],
        "rejected": wrong[True], "accepted": wrong[False], "decided_by_math_verify": _symbolic(outputs),
        "failed": sum(output.failure is not None for output in outputs),
    }  # fmt: skip


async def hostile(reward: MathReward) -> dict[str, Any]:
    async def timed(name: str, label: str, response: str) -> tuple[str, float, RewardOutput]:
        started_s = time.perf_counter()
        [output] = await reward.ascore([Sample(prompt="", response=response, label=label)])
        return name, time.perf_counter() - started_s, output

    calls = [timed(name, "7", rf"\boxed{{{text}}}") for name, text in HOSTILE.items()]
    healthy = [timed(name, label, response) for name, label, response, _ in HEALTHY for _ in range(COPIES)]
    step = max(1, len(calls) // len(healthy))
    for at, call in enumerate(healthy):
        calls.insert((at + 1) * step, call)
    answered = await asyncio.gather(*calls)
    bad = [one for one in answered if one[0] in HOSTILE]
    good = [one for one in answered if one[0] not in HOSTILE]
    wanted = {name: score for name, _, _, score in HEALTHY}
    return {
        "hostile": len(bad), "healthy": len(good), "deadline_s": TIMEOUT_S,
        "outcomes": dict(Counter(str(o.failure.kind) if o.failure else f"score {o.score:g}" for _, _, o in bad)),
        "slowest_s": {name: round(took_s, 2) for name, took_s, _ in sorted(bad, key=lambda one: -one[1])[:12]},
        "slowest_hostile_s": max(took_s for _, took_s, _ in bad),
        "slowest_healthy_s": {kind: max(t for name, t, _ in good if name == kind) for kind in wanted},
        "healthy_not_as_always": sum(output.score != wanted[name] for name, _, output in good),
        "right_by_chance": [name for name, _, output in bad if output.score],
    }  # fmt: skip


def forget(reward: MathReward) -> None:
    """What a new round must not know from the last."""
    reward._kept.clear()
    read_answer.cache_clear()
    _gold_from_text.cache_clear()


def math_verify_score(one: Judged) -> float:
    """As its users call it, with its own defaults."""
    found = extract_answer(one.label)
    given = one.response
    if r"\boxed" not in given:
        extracted = extract_answer(given)
        given = rf"\boxed{{{extracted.text if extracted else ''}}}"
    return float(verify(parse(rf"\boxed{{{found.text if found else one.label}}}"), parse(given)))


def throughput(reward: MathReward, judged: Sequence[Judged], rounds: int) -> dict[str, Any]:
    samples, outputs, theirs = samples_of(judged), [], []
    gc.collect()
    gc.freeze()
    costs: list[dict[str, float]] = []
    for _ in range(rounds):
        repeated = []
        for _ in range(REPEATED):
            forget(reward)
            clock = Clock()
            outputs = reward.score(samples)
            repeated.append(clock.read(len(samples)))
        ours = Cost(*(statistics.median(values) for values in zip(*repeated, strict=True)))
        clock = Clock()
        theirs = [math_verify_score(one) for one in judged]
        other = clock.read(len(samples))
        costs.append(
            {
                "us_a_sample": ours.wall_us, "cpu_us_a_sample": ours.cpu_us,
                "math_verify_us_a_sample": other.wall_us, "math_verify_cpu_us_a_sample": other.cpu_us,
                "times_faster": other.wall_us / ours.wall_us, "times_less_cpu": other.cpu_us / ours.cpu_us,
            }
        )  # fmt: skip
    differing = [
        {
            "where": one.where,
            "label_says": one.is_right,
            "ours": output.score,
            "math_verify": verdict,
            "why": output.reason,
        }
        for one, output, verdict in zip(judged, outputs, theirs, strict=True)
        if output.score != verdict
    ]
    return {"samples": len(samples), **spreads(costs), "other_verdicts": differing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with the JSON-lines files named in the code")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked, load_before = parser.parse_args(), load()
    reward = MathReward()
    reward.load()
    gc.collect()
    gc.freeze()  # as a replica does: the collector need not walk through sympy again, for either of the two
    results: dict[str, Any] = {
        "gsm8k": agreement(reward, gsm8k(asked.data)),
        "qwen": agreement(reward, qwen(asked.data)),
        "variants": variants(reward, asked.data),
        "throughput_qwen": throughput(reward, qwen(asked.data), asked.rounds),
        "throughput_gsm8k": throughput(reward, gsm8k(asked.data), asked.rounds),
    }
    reward.timeout_s = TIMEOUT_S
    results["hostile"] = asyncio.run(hostile(reward))
    results["targets"] = {
        "gsm8k_agreement": target(results["gsm8k"]["agreement"], at_least=0.995),
        "qwen_disagreements": target(len(results["qwen"]["disagreements"]), at_most=3),
        "false_accepts": target(results["variants"]["false_accepts"], at_most=0.005),
        "false_rejects": target(results["variants"]["false_rejects"], at_most=0.03),
        "slowest_hostile_s": target(results["hostile"]["slowest_hostile_s"], at_most=TIMEOUT_S + 0.5),
        "healthy_not_as_always": target(results["hostile"]["healthy_not_as_always"], at_most=0),
        **{
            f"{figure}_{data}": target(results[f"throughput_{data}"][figure]["median"], at_least=50)
            for data in ("qwen", "gsm8k")
            for figure in ("times_faster", "times_less_cpu")
        },
    }
    report(__doc__, results, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
