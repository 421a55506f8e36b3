"""Rewards of the router as verl's reward function.

What arrives: what verl hands to a custom reward function: a data source, the response, the ground truth, further
columns. What leaves: a dict with `score`, a finite number always, `reward_valid` (1.0 or 0.0), `reward_failure` (its
kind, or ""), and the configured components: the same keys for every sample, since verl takes the keys of the first one
and looks them up in all others.

A failed sample's score is the fallback where one is configured, else what teaches nothing: the mean of the prompt's
other samples that this process has scored lately, else of the run's. Its components have no value, which verl leaves
out of its means from 0.9.1 on; before, they are NaN, for verl would fail on a value that is none.

In verl's configuration (0.7 to 0.9):

    reward.custom_reward_function.path=pkg://rayreward.trainers.verl
    reward.custom_reward_function.name=acompute_score
    +reward.custom_reward_function.reward_kwargs.reward=math
    +reward.custom_reward_function.reward_kwargs.endpoint=http://<head>:8000

`acompute_score` merges what verl asks at the same time into few calls; `compute_score` and `compute_score_batch` are
for reward managers that call a sync function. `rayreward.trainers.verl_manager` is a reward manager that also hands
the prompt over, which verl keeps from reward functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rayreward.trainers.verl_protocol import VerlSettings, sample_of, told


async def acompute_score(
    data_source: Any, solution_str: str, ground_truth: Any, extra_info: Any = None, **options: Any
) -> dict[str, Any]:
    """Score one sample for verl, awaited: what is asked at the same time travels together.

    Args:
        data_source: the name of the sample's data set.
        solution_str: the response.
        ground_truth: the label.
        extra_info: further columns, which go to the reward as metadata.
        options: of `VerlSettings`.

    Raises:
        ConfigError: an option that does not exist.
        UnknownRewardError: no such reward.
        ServiceUnavailableError: the reward has answered nothing for too long.
    """
    settings = VerlSettings.of(options)
    sample, prompt = sample_of(data_source, solution_str, ground_truth, extra_info)
    [filled] = await settings.client().ascore([sample], [prompt])
    return told(filled, settings.components)


def compute_score(
    data_source: Any, solution_str: str, ground_truth: Any, extra_info: Any = None, **options: Any
) -> dict[str, Any]:
    """`acompute_score` for reward managers that call a sync function, from one thread or many."""
    return compute_score_batch([data_source], [solution_str], [ground_truth], [extra_info], **options)[0]


def compute_score_batch(
    data_sources: Sequence[Any],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Any],
    **options: Any,
) -> list[dict[str, Any]]:
    """Score for verl's batch reward manager: one call for all, one dict each, in order."""
    settings = VerlSettings.of(options)
    columns = zip(data_sources, solution_strs, ground_truths, extra_infos, strict=True)
    pairs = [sample_of(*values) for values in columns]
    found = settings.client().score([sample for sample, _ in pairs], [prompt for _, prompt in pairs])
    return [told(filled, settings.components) for filled in found]
