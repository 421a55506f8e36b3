from typing import Any

import pytest

from rayreward.jobs.preflight.batches import check_batches, check_groups, check_supply, count_ranks
from tests.jobs.conftest import build_spec

FOUR_ACTORS = {"actor": {"gpus_per_node": 4}}


@pytest.mark.parametrize("estimator", ["reinforce", "gae", "flash_reinforce"])
def test_estimators_without_groups_may_take_one_sample(estimator: str) -> None:
    spec = build_spec(algorithm={"estimator": estimator}, rollout={"n_samples_per_prompt": 1})

    assert list(check_groups(spec)) == []


@pytest.mark.parametrize("estimator", ["rloo", "reinforce_baseline", "group_norm", "dr_grpo"])
def test_estimators_of_groups_may_not(estimator: str) -> None:
    (finding,) = check_groups(build_spec(algorithm={"estimator": estimator}, rollout={"n_samples_per_prompt": 1}))

    assert finding.found.startswith(estimator)


@pytest.mark.parametrize(
    ("flags", "ranks"),
    [
        ({}, 4),
        ({"ds.ring_attn_size": 2}, 2),
        ({"--ds.tensor_parallel_size": 4}, 1),
        ({"ring_attn_size": 2}, 2),  # as versions up to 0.10.1 call it
    ],
)
def test_processes_that_share_a_sequence_count_as_one_rank(flags: dict[str, Any], ranks: int) -> None:
    assert count_ranks(build_spec(resources=FOUR_ACTORS, extra_args=flags)) == ranks


def test_more_sharing_than_gpus_is_found() -> None:
    (finding,) = check_batches(build_spec(extra_args={"ds.ring_attn_size": 2}))

    assert "need more than the 1 GPUs" in finding.found


def test_batches_that_are_cut_by_tokens_need_no_equal_shares() -> None:
    sections: dict[str, Any] = {"rollout": {"batch_size": 3, "n_samples_per_prompt": 3}, "resources": FOUR_ACTORS}

    assert list(check_batches(build_spec(**sections)))
    assert list(check_batches(build_spec(**sections, extra_args={"train.dynamic_batch_enable": True}))) == []


def test_the_rest_of_the_prompts_may_be_uneven_for_one_rank() -> None:
    spec = build_spec(rollout={"batch_size": 8, "micro_batch_size": 8})

    assert list(check_supply(spec, 8 * 5 + 3)) == []


def test_the_rest_of_the_prompts_may_not_be_uneven_for_several() -> None:
    spec = build_spec(rollout={"batch_size": 8, "micro_batch_size": 8}, resources=FOUR_ACTORS)

    (finding,) = check_supply(spec, 8 * 5 + 5)

    assert "the last step of 45 prompts, which has 5, in micro batches of 8 are no equal shares" in finding.found
    assert "data.max_samples to 40" in finding.remedy
    assert list(check_supply(spec, 8 * 5)) == []


def test_nobody_knows_what_a_filter_leaves_over() -> None:
    spec = build_spec(
        rollout={"batch_size": 8, "micro_batch_size": 8}, resources=FOUR_ACTORS, algorithm={"dynamic_filtering": True}
    )

    assert list(check_supply(spec, 8 * 5 + 5)) == []
