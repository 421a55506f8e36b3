from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from rayreward import Sample
from rayreward.errors import ConfigError
from rayreward.rewards import EnsembleReward, RewardModel
from rayreward.spec import PartSpec, RewardSpec
from rayreward.testing import ScriptedReward
from rayreward.types import FailureKind, RewardOutput


def members(*scores: Any) -> list[tuple[ScriptedReward, str]]:
    return [(ScriptedReward(default=score), f"m{number}") for number, score in enumerate(scores)]


def scored(*scores: Any, combine: Any = "mean", **options: Any) -> RewardOutput:
    return EnsembleReward(members(*scores), combine, **options)(response="x")


@pytest.mark.parametrize(
    ("combine", "options", "expected"),
    [
        ("mean", {}, 4.0),
        ("median", {}, 3.0),
        ("min", {}, 1.0),
        ("mean_minus_std", {}, 4.0 - statistics.pstdev([1, 3, 8])),
        ("mean_minus_std", {"penalty": 0.5}, 4.0 - 0.5 * statistics.pstdev([1, 3, 8])),
        ("mean_minus_std", {"penalty": 0}, 4.0),
    ],
)
def test_members_become_one_score_and_stay_visible(combine: str, options: dict[str, Any], expected: float) -> None:
    output = scored(1.0, 3.0, 8.0, combine=combine, **options)
    assert output.score == pytest.approx(expected)
    assert [output.metrics[name].score for name in ("m0", "m1", "m2")] == [1.0, 3.0, 8.0]
    disagreement = output.metrics["disagreement"]
    assert (disagreement.score, disagreement.weight) == (pytest.approx(statistics.pstdev([1, 3, 8])), 0.0)


def test_what_members_disagree_on_earns_less() -> None:
    agreed, disputed = (scored(*scores, combine="mean_minus_std") for scores in ((2.0, 2.0), (0.0, 4.0)))
    assert (agreed.score, disputed.score) == (2.0, 0.0)
    assert disputed.reason == "mean 2 less 2 for disagreement"


def test_a_member_that_fails_fails_the_sample_and_is_named() -> None:
    output = scored(1.0, ValueError("broken"))
    assert output.score is None
    assert output.failure is not None
    assert output.failure.component == "m1"
    assert output.metrics["m0"].score == 1.0


def test_with_members_enough_it_goes_on_and_says_who_is_missing() -> None:
    output = scored(1.0, ValueError("broken"), 3.0, min_members=2)
    assert (output.score, output.metadata["skipped_components"]) == (2.0, ["m1"])
    assert output.metrics["m1"].failure is not None
    failure = scored(1.0, ValueError("broken"), None, min_members=2).failure
    assert failure is not None
    assert (failure.kind, failure.component) == (FailureKind.ERROR, "m1")


def test_a_members_failure_is_one_samples_only() -> None:
    ensemble = EnsembleReward([(ScriptedReward({"bad": ValueError("no")}), "a"), (ScriptedReward(), "b")])
    outputs = ensemble.score([Sample(response=text) for text in ("good", "bad", "good")])
    assert [output.score for output in outputs] == [1.0, None, 1.0]


def test_paths_become_reward_models_with_the_options() -> None:
    ensemble = EnsembleReward(["models/one", "models/two"], device="cpu", dtype="bfloat16")
    first, second = ensemble.rewards.values()
    assert isinstance(first, RewardModel)
    assert isinstance(second, RewardModel)
    assert (list(ensemble.rewards), first.model_path, second.model_path) == (
        ["one", "two"], "models/one", "models/two",
    )  # fmt: skip
    assert ensemble.isolation == "thread"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"members": []}, "at least one part"),
        ({"members": "models/one"}, "a list of rewards or checkpoints"),
        ({"members": [1.0]}, "found 1.0"),
        ({"members": members(1.0), "combine": "max"}, "known are mean, median, min, mean_minus_std"),
        ({"members": members(1.0), "penalty": -1.0}, "penalty=-1.0"),
        ({"members": members(1.0), "penalty": math.nan}, "penalty=nan"),
        ({"members": members(1.0), "min_members": 2}, "min_members=2: between 1 and the 1 parts"),
        ({"members": members(1.0), "device": "cpu"}, "'device' is for checkpoints that are given by path"),
        ({"members": [(ScriptedReward(), "disagreement")]}, "give that part another one"),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        EnsembleReward(**arguments)


def test_in_yaml_it_is_a_builtin_of_checkpoints_or_a_way_to_combine_parts() -> None:
    models = RewardSpec.parse(
        {"name": "quality", "builtin": "ensemble", "args": {"members": ["a", "b"], "combine": "min"}}, source="t"
    )
    assert models.has_model
    assert models.build().name == "quality"
    found = [{"name": word, "builtin": "keyword", "args": {"required": [word]}} for word in ("a", "b")]
    parts = PartSpec.parse({"parts": found, "combine": "mean_minus_std", "penalty": 2.0}, source="t").build()
    assert parts(response="a").score == pytest.approx(0.5 - 2.0 * 0.5)
    short = PartSpec.parse({"parts": found, "combine": "mean", "min_members": 3}, source="t")
    with pytest.raises(ConfigError, match="between 1 and the 2 parts"):
        short.build()


def test_a_sum_knows_no_members_to_go_on_without() -> None:
    with pytest.raises(ConfigError, match="min_members means something for min, max, mean"):
        PartSpec.parse({"parts": [{"builtin": "final_answer"}], "min_members": 1}, source="t").build()
