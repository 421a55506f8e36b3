import pytest

from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.preflight.placement import (
    Resources,
    check_placement,
    check_room,
    check_tensor_parallel,
    plan_resources,
)
from tests.jobs.conftest import build_spec


def node(gpus: float, cpus: float, free_gpus: float | None = None) -> Node:
    total = {"GPU": gpus, "CPU": cpus}
    return Node("n", "10.0.0.1", total, total if free_gpus is None else total | {"GPU": free_gpus})


@pytest.mark.parametrize(
    ("colocate", "async_rollout", "gpus"),
    [("none", False, 2 + 2 + 2 + 4), ("actor_ref", False, 2 + 2 + 4), ("all", False, 2), ("all", True, 2 + 4)],
)
def test_the_plan_counts_what_openrlhf_asks_for(colocate: str, async_rollout: bool, gpus: int) -> None:
    spec = build_spec(
        algorithm={"estimator": "gae", "kl_coef": 0.1},
        train={"async_rollout": async_rollout},
        resources={"actor": {"gpus_per_node": 2}, "vllm": {"engines": 4}, "colocate": colocate},
    )

    assert plan_resources(spec) == Resources(gpus=gpus, cpus=gpus + 1)


def test_a_plan_that_just_fits_has_room() -> None:
    assert list(check_room(Resources(gpus=4, cpus=5), [node(2, 2), node(2, 2), node(0, 1)])) == []


def test_cpus_that_are_missing_for_the_coordinator_are_found() -> None:
    (finding,) = check_room(Resources(gpus=2, cpus=3), [node(2, 2)])

    assert finding.found == "the plan takes 3 CPUs, and 2 are in the whole cluster"


def test_sleeping_while_generating_the_next_step_is_found() -> None:
    (finding,) = check_placement(
        build_spec(train={"sleep": True, "async_rollout": True}, resources={"colocate": "all"})
    )

    assert "train.sleep" in finding.found


def test_engines_that_leave_no_memory_on_shared_gpus_are_a_warning() -> None:
    (finding,) = check_placement(build_spec(resources={"colocate": "all"}))

    assert finding.is_warning
    assert "keep 90%" in finding.found
    assert list(check_placement(build_spec(resources={"colocate": "all", "vllm": {"sleep": True}}))) == []


def test_an_engine_that_spans_nodes_is_a_warning() -> None:
    spec = build_spec(resources={"vllm": {"tensor_parallel": 8}})

    (finding,) = check_tensor_parallel(spec, [node(4, 8), node(4, 8)])

    assert finding.is_warning
    assert "set it to 4 or less" in finding.remedy
    assert list(check_tensor_parallel(spec, [node(8, 8)])) == []
