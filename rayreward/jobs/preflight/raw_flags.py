"""What OpenRLHF asserts of flags that the spec has no key for, so that only `extra_args` can set them.

What arrives: a spec. What leaves: findings, and the values of such flags for other checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.openrlhf.versions import dotted_names
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.prompt_files import split_sources

CHECK = "extra_args"


def raw_flag(spec: OpenRLHFSpec, flag: str, default: Any) -> Any:
    """The value of a flag, by its newest name without dashes; the spec may write any version's."""
    for written, value in spec.extra_args.items():
        name = f"--{written.removeprefix('--')}"
        if f"--{flag}" in (name, *dotted_names().get(name, ())):
            return value
    return default


def check_raw_flags(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Flags that contradict each other or the spec."""
    yield from _check_async_flags(spec)
    yield from _check_blend(spec)
    if raw_flag(spec, "data.max_images_per_prompt", 0) and (spec.critic is not None or spec.train.packing_samples):
        found = "data.max_images_per_prompt: prompts with images go with neither a critic nor packed samples"
        yield Finding(CHECK, found, "take another estimator than gae, and set train.packing_samples to false")
    thresholds = raw_flag(spec, "algo.advantage.is_correction_threshold", (0.5, 5.0))
    if isinstance(thresholds, (list, tuple)) and len(thresholds) > 2:
        found = f"algo.advantage.is_correction_threshold has {len(thresholds)} numbers"
        yield Finding(CHECK, found, "write the upper bound, or the lower and the upper one")


def _check_async_flags(spec: OpenRLHFSpec) -> Iterator[Finding]:
    if spec.train.async_rollout:
        return
    prompts = spec.rollout.batch_size
    at_once = raw_flag(spec, "rollout.vllm_generate_batch_size", prompts)
    if at_once > prompts:
        found = f"rollout.vllm_generate_batch_size {at_once} is more than the {prompts} prompts of a step"
        yield Finding(CHECK, found, "set train.async_rollout to true, which keeps the surplus for the next step")
    if raw_flag(spec, "train.partial_rollout_enable", False):
        found = "train.partial_rollout_enable goes on generating while weights change"
        yield Finding(CHECK, found, "set train.async_rollout to true")


def _check_blend(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """One probability for each source."""
    probabilities = raw_flag(spec, "data.prompt_probs", None)
    sources = split_sources(spec.data.prompts)
    if probabilities is not None and len(str(probabilities).split(",")) != len(sources):
        found = f"data.prompt_probs {probabilities!r} does not fit the {len(sources)} sources of data.prompts"
        yield Finding(CHECK, found, "write one number for each, with commas between them")
