"""What TRL needs besides what every training needs.

What arrives: a TRL spec, versions, the number of its prompts, the nodes of a cluster. What leaves: findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.trl.spec import TrlSpec


def check_trl(installed: Mapping[str, str]) -> Iterator[Finding]:
    """Whether TRL is there."""
    if "trl" not in installed:
        yield Finding("versions", "trl is not installed", "pip install 'rayreward[trl]'")


def check_trl_supply(spec: TrlSpec, prompt_count: int) -> Iterator[Finding]:
    """Whether the prompts fill at least one step: TRL drops a last batch that is not full."""
    count = min(prompt_count, spec.data.max_samples or prompt_count)
    if count < spec.rollout.batch_size:
        found = f"{count} prompts do not fill one step of {spec.rollout.batch_size}"
        yield Finding("batches", found, "nothing would be learnt: give more, or set a smaller rollout.batch_size")


def check_one_node(spec: TrlSpec, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether one node has all GPUs of the training, which Ray starts as a single job."""
    largest = max((node.total.get("GPU", 0.0) for node in nodes), default=0.0)
    free = max((node.free.get("GPU", 0.0) for node in nodes), default=0.0)
    if largest < spec.gpus:
        found = f"the training takes {spec.gpus} GPUs of one node, and the largest has {largest:g}"
        yield Finding("cluster", found, "set resources.gpus to fewer, or start a larger node")
    elif free < spec.gpus:
        found = f"the training takes {spec.gpus} GPUs of one node, and at most {free:g} are free together"
        yield Finding("cluster", found, "wait for what uses them, or end it: ray status")
