"""Which model runs on which GPU: what OpenRLHF asserts of the plan, and whether a cluster has room for it.

What arrives: a spec, and the nodes of a cluster. What leaves: findings.

Every actor of OpenRLHF asks for one GPU and one CPU on the same node, whatever model it belongs to; Ray packs them as
it likes. What does not fit waits for ever, without a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.preflight.findings import Finding

TRAINER_CPUS = 1
"""For OpenRLHF's own coordinating actor, besides the CPU that goes with each GPU."""

MOST_SHARED_MEMORY = 0.7
"""Of a GPU that engines share with the models that train: more has left too little for an optimizer's state."""


@dataclass(frozen=True)
class Resources:
    """What a plan takes of a cluster.

    Attributes:
        gpus: each with a CPU beside it.
        cpus: in all, those beside the GPUs among them.
    """

    gpus: float
    cpus: float


def check_placement(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """What OpenRLHF asserts about models that share GPUs."""
    resources, is_async = spec.resources, spec.train.async_rollout
    actor, engines = resources.actor, resources.vllm
    if resources.colocate != "none" and spec.reference is not None and spec.reference != actor:
        found = f"reference ({spec.reference.gpus} GPUs) and actor ({actor.gpus}) share GPUs but differ in shape"
        yield Finding("placement", found, "leave resources.reference out")
    if resources.colocate == "all" and not is_async and engines.gpus != actor.gpus:
        found = f"engines ({engines.gpus} GPUs) and actor ({actor.gpus}) share GPUs but differ in number"
        yield Finding("placement", found, f"let resources.vllm engines x tensor_parallel be {actor.gpus}")
    for key, sleeps in (("resources.vllm.sleep", engines.sleep), ("train.sleep", spec.train.sleep)):
        if sleeps and (resources.colocate != "all" or is_async):
            found = f"{key} frees GPUs that nobody else uses"
            yield Finding("placement", found, "set it to false, or set colocate: all and async_rollout: false")
    is_shared = resources.colocate == "all" and not is_async and spec.platform == "gpu"
    if is_shared and not engines.sleep and engines.gpu_memory_utilization > MOST_SHARED_MEMORY:
        found = f"the engines keep {engines.gpu_memory_utilization:.0%} of the memory of GPUs that the models train on"
        remedy = "set resources.vllm.sleep to true, or gpu_memory_utilization to about 0.5"
        yield Finding("placement", found, remedy, is_warning=True)


def plan_resources(spec: OpenRLHFSpec) -> Resources:
    """GPUs and CPUs that all actors together hold, as OpenRLHF asks for them."""
    resources = spec.resources
    actor = resources.actor.gpus
    reference = spec.reference.gpus if spec.reference is not None else 0
    critic = spec.critic.gpus if spec.critic is not None else 0
    if resources.colocate == "all":
        gpus = actor + (resources.vllm.gpus if spec.train.async_rollout else 0)
    elif resources.colocate == "actor_ref":
        gpus = actor + critic + resources.vllm.gpus
    else:
        gpus = actor + reference + critic + resources.vllm.gpus
    return Resources(gpus=gpus, cpus=gpus + TRAINER_CPUS)


def check_room(plan: Resources, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether the plan fits into what is free; it would wait for ever otherwise."""
    if (lack := _find_lack(plan, nodes, "total")) is not None:
        remedy = "plan for fewer under resources, or set resources.autoscaled where the cluster adds nodes"
        yield Finding("cluster", f"the plan takes {lack} in the whole cluster", remedy)
    elif (lack := _find_lack(plan, nodes, "free")) is not None:
        yield Finding("cluster", f"the plan takes {lack} free", "wait for what uses them, or end it: ray status")


def _find_lack(plan: Resources, nodes: Sequence[Node], which: str) -> str | None:
    amounts = [getattr(node, which) for node in nodes]
    gpus = sum(amount.get("GPU", 0.0) for amount in amounts)
    pairs = sum(min(int(amount.get("GPU", 0.0)), int(amount.get("CPU", 0.0))) for amount in amounts)
    cpus = sum(amount.get("CPU", 0.0) for amount in amounts)
    if gpus < plan.gpus:
        return f"{plan.gpus:g} GPUs, and {gpus:g} are"
    if pairs < plan.gpus:
        return f"{plan.gpus:g} GPUs with a CPU on the same node, and {pairs:g} such pairs are"
    if cpus < plan.cpus:
        return f"{plan.cpus:g} CPUs, and {cpus:g} are"
    return None


def check_tensor_parallel(spec: OpenRLHFSpec, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether an engine fits on one node; vLLM warns, too, and goes on at the network's speed."""
    size, largest = spec.resources.vllm.tensor_parallel, max((node.total.get("GPU", 0.0) for node in nodes), default=0)
    if size > largest > 0:
        found = (
            f"resources.vllm.tensor_parallel {size} spreads an engine over nodes, which have {largest:g} GPUs at most"
        )
        yield Finding("placement", found, f"set it to {largest:g} or less, and engines to more", is_warning=True)
