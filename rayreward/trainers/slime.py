"""Rewards of the router as slime's custom reward function: ``--custom-rm-path rayreward.trainers.slime.reward``.

What arrives: slime's arguments, and one sample or, with ``--group-rm`` or where a rollout fans out, a list of them.
What leaves: a number each; with ``--reward-key score`` a dict each, whose keys are always the same: `score`,
`reward_valid`, `reward_failure` and the components that ``rayreward_components`` names, so that
``--log-reward-category reward_failure`` counts the failures by kind.

slime needs a number for every sample and averages all of a group. A failed sample gets the mean of its group's scored
ones (else of the run's), which leaves that average as it is, and its `remove_sample` is set, with which slime masks its
loss: it teaches nothing. ``rayreward_fallback`` gives a number instead, and then it is learnt from.

Options are slime's arguments (``--custom-config-path``: a YAML file of them), else the environment's:
``rayreward_reward`` (RAYREWARD_REWARD), ``rayreward_endpoint`` or ``--rm-url`` (RAYREWARD_URL), ``rayreward_app``
(RAYREWARD_APP), ``rayreward_run`` (RAYREWARD_RUN), ``rayreward_wait_s``, ``rayreward_max_unavailable_s``.

Read in slime's sources as of August 2026. slime is on no package index, so it is no part of our tests' environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rayreward.plain import plain
from rayreward.sample import Sample

if TYPE_CHECKING:
    from rayreward.client.filled import FilledScore, FillingClient


async def reward(args: Any, sample: Any, **_: Any) -> Any:
    """The reward of one sample, or those of a list of them, in order.

    Raises:
        UnknownRewardError: no such reward.
        ServiceUnavailableError: the reward has answered nothing for too long.
    """
    if isinstance(sample, (list, tuple)):
        return await _rewards(args, sample)
    [found] = await _rewards(args, [sample])
    return found


async def _rewards(args: Any, samples: Sequence[Any]) -> list[Any]:
    if any(isinstance(sample, (list, tuple)) for sample in samples):  # a group of rollouts that fanned out
        nested = [sample if isinstance(sample, (list, tuple)) else [sample] for sample in samples]
        found = await _rewards(args, [sample for part in nested for sample in part])
        return _as_nested(samples, found)
    pairs = [sample_of(sample) for sample in samples]
    scored = await _client(args).ascore([value for value, _ in pairs], [prompt for _, prompt in pairs])
    has_fallback = getattr(args, "rayreward_fallback", None) is not None
    for sample, filled in zip(samples, scored, strict=True):
        if not filled.is_valid and not has_fallback:
            sample.remove_sample = True
    return [_told(args, filled) for filled in scored]


def _as_nested(samples: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    values = iter(found)
    return [[next(values) for _ in sample] if isinstance(sample, (list, tuple)) else next(values) for sample in samples]


def sample_of(sample: Any) -> tuple[Sample, str]:
    """A sample of ours from one of slime's, and the text that its group shares."""
    metadata = plain(sample.metadata) if isinstance(sample.metadata, dict) else {}
    fields: dict[str, Any] = {"label": plain(sample.label), "metadata": metadata}
    if sample.group_index is not None:
        fields["group_id"] = str(sample.group_index)
    if isinstance(sample.prompt, str):
        value = Sample(prompt=sample.prompt, response=sample.response, **fields)
    else:
        value = Sample([*plain(sample.prompt), {"role": "assistant", "content": sample.response}], **fields)
    # The group's number alone would do, did slime not count anew in every evaluation.
    return value, f"{sample.group_index}: {value.prompt}"


def _client(args: Any) -> FillingClient:
    from rayreward.client.address import RewardAddress
    from rayreward.client.filled import shared_filling_client

    def option(name: str, default: Any = None) -> Any:
        value = getattr(args, f"rayreward_{name}", None)
        return default if value is None else value

    app = option("app")
    endpoint = None if app is not None else option("endpoint", getattr(args, "rm_url", None))
    address = RewardAddress(
        reward=option("reward"),
        endpoint=endpoint,
        app=app,
        run=option("run"),
        wait_s=option("wait_s", 600.0),
        max_unavailable_s=option("max_unavailable_s", 900.0),
    )
    return shared_filling_client(address, option("fallback"))


def _told(args: Any, filled: FilledScore) -> Any:
    if not getattr(args, "reward_key", None):
        return filled.number
    failure = filled.output.failure
    told: dict[str, Any] = {
        "score": filled.number,
        "reward_valid": 1.0 if filled.is_valid else 0.0,
        "reward_failure": "" if failure is None else failure.kind.value,
    }
    for name in getattr(args, "rayreward_components", None) or ():
        metric = filled.output.metrics.get(name) if filled.is_valid else None
        told[name] = None if metric is None else metric.score
    return told
