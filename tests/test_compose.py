from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward.compose import METHODS, Method, Part, Rule, check_parts, combine, gate_is_open
from rayreward.errors import ConfigError
from rayreward.types import FailureKind, MetricRewardOutput, RewardOutput

LOST = RewardOutput.failed(FailureKind.TIMEOUT, "slow")


def total(method: Method, scores: dict[str, float | None], **rule: Any) -> RewardOutput:
    """Combine optional parts of weight 1; None is a part that failed."""
    parts = [Part(name, is_required=False) for name in scores]
    outputs = {name: LOST if score is None else RewardOutput(score) for name, score in scores.items()}
    return combine(parts, outputs, Rule(method, **rule))


class TestEveryRule:
    @pytest.mark.parametrize(
        ("method", "score", "reason"),
        [
            ("weighted_sum", 1.0, None),
            ("product", 0.1875, None),
            ("min", 0.25, "lowest: a"),
            ("max", 0.75, "highest: b"),
            ("all_pass", 0.0, "below 0.5: a"),
            ("first_valid", 0.25, "from a"),
            ("gate", 0.75, None),
        ],
    )
    def test_of_all_parts(self, method: Method, score: float, reason: str | None) -> None:
        output = total(method, {"a": 0.25, "b": 0.75})
        assert (output.score, output.reason) == (score, reason)
        assert [metric.score for metric in output.metrics.values()] == [0.25, 0.75]
        assert "skipped_components" not in output.metadata

    @pytest.mark.parametrize("method", METHODS)
    def test_a_required_part_that_fails_fails_the_sample(self, method: Method) -> None:
        parts = [Part("a", is_required=True), Part("b", is_required=method != "first_valid")]
        output = combine(parts, {"a": LOST, "b": RewardOutput(1.0)}, Rule(method))
        if method == "first_valid":
            assert (output.score, output.metadata) == (1.0, {"skipped_components": ["a"]})
        else:
            assert output.score is None
            assert output.failure is not None
            assert (output.failure.kind, output.failure.component) == (FailureKind.TIMEOUT, "a")
        assert output.metrics["a"].failure is not None

    @pytest.mark.parametrize("method", METHODS)
    def test_without_any_score_it_is_a_failure_and_never_a_number(self, method: Method) -> None:
        output = total(method, {"a": None, "b": None})
        assert output.score is None
        assert output.failure is not None
        assert output.failure.kind is FailureKind.TIMEOUT
        assert combine([Part("a")], {}, Rule(method)).score is None


class TestWeightedSum:
    def weighed(self, scores: dict[str, tuple[float, float | None]]) -> RewardOutput:
        parts = [Part(name, weight, is_required=False) for name, (weight, _) in scores.items()]
        outputs = {name: LOST if score is None else RewardOutput(score) for name, (_, score) in scores.items()}
        return combine(parts, outputs, Rule())

    def test_weights_and_raw_scores_stay_apart(self) -> None:
        output = self.weighed({"a": (0.3, 1.0), "b": (0.7, 0.5)})
        assert output.score == pytest.approx(0.65)
        assert output.metrics["b"] == MetricRewardOutput(0.5, weight=0.7)

    def test_a_missing_part_leaves_the_scale_as_it_was(self) -> None:
        output = self.weighed({"a": (0.3, 1.0), "b": (0.7, None)})
        assert output.score == pytest.approx(1.0)
        assert output.metadata == {"skipped_components": ["b"]}
        assert self.weighed({"a": (2.0, 0.5), "b": (1.0, 0.5), "c": (3.0, None)}).score == pytest.approx(3.0)

    def test_a_missing_penalty_changes_no_reward(self) -> None:
        assert self.weighed({"a": (1.0, 0.75), "penalty": (-1.0, None)}).score == 0.75
        assert self.weighed({"a": (1.0, 0.75), "p": (-1.0, 0.5), "q": (-1.0, None)}).score == pytest.approx(-0.25)

    def test_rewards_that_are_all_missing_are_no_zero(self) -> None:
        output = self.weighed({"a": (1.0, None), "penalty": (-0.5, 0.0)})
        assert output.score is None
        assert output.failure is not None
        assert output.failure.component == "a"

    def test_weights_may_sum_to_nothing(self) -> None:
        assert self.weighed({"a": (1.0, 0.75), "b": (-1.0, 0.25)}).score == 0.5
        assert self.weighed({"a": (0.0, 0.75), "b": (0.0, None)}).score == 0.0
        assert self.weighed({"a": (-1.0, 0.5), "b": (-1.0, None)}).score == -1.0


class TestNesting:
    def test_a_composites_own_components_stay_visible_and_weigh_nothing(self) -> None:
        inner = combine([Part("x", 2.0)], {"x": RewardOutput(0.5, {"deep": 1.0})}, Rule())
        output = combine([Part("inner", 3.0)], {"inner": inner}, Rule())
        assert output.score == 3.0
        assert output.metrics["inner/x"] == MetricRewardOutput(0.5, weight=0.0)
        assert output.metrics["inner/x/deep"].score == 1.0

    def test_a_failure_inside_names_its_way(self) -> None:
        inner = combine([Part("x")], {"x": LOST}, Rule())
        failure = combine([Part("inner")], {"inner": inner}, Rule()).failure
        assert failure is not None
        assert failure.component == "inner/x"


class TestGate:
    def test_a_sample_that_a_check_stops_gets_the_closed_score_and_hears_why(self) -> None:
        parts = [Part("format"), Part("model")]
        output = combine(parts, {"format": RewardOutput(0.25)}, Rule("gate", threshold=0.5, closed_score=-1.0))
        assert (output.score, output.reason) == (-1.0, "stopped by format: 0.25 < 0.5")
        assert output.metadata == {"skipped_components": ["model"]}

    def test_an_optional_check_that_fails_stops_nothing(self) -> None:
        check = Part("format", is_required=False)
        assert gate_is_open(check, LOST, Rule("gate"))
        assert not gate_is_open(Part("format"), LOST, Rule("gate"))
        output = combine([check, Part("model")], {"format": LOST, "model": RewardOutput(0.5)}, Rule("gate"))
        assert (output.score, output.metadata) == (0.5, {"skipped_components": ["format"]})

    def test_a_guarded_part_that_fails_is_no_closed_gate(self) -> None:
        output = combine([Part("format"), Part("model")], {"format": RewardOutput(1.0), "model": LOST}, Rule("gate"))
        assert output.score is None

    def test_the_threshold_itself_passes(self) -> None:
        assert gate_is_open(Part("a"), RewardOutput(0.5), Rule("gate"))
        assert total("all_pass", {"a": 0.5}).score == 1.0


@pytest.mark.parametrize(
    ("parts", "rule", "reason"),
    [
        ([], Rule(), "at least one part"),
        ([Part("a"), Part("a")], Rule(), "'a' twice"),
        ([Part("a", math.nan)], Rule(), "finite"),
        ([Part("a", math.inf)], Rule(), "finite"),
        ([Part("a", 0.5)], Rule("min"), "weighted_sum only"),
        ([Part("a")], Rule("gate"), "at least two"),
        ([Part("a"), Part("b", is_required=False)], Rule("gate"), "cannot be optional, found 'b'"),
    ],
)
def test_parts_that_cannot_combine_are_refused(parts: list[Part], rule: Rule, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_parts(parts, rule)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown combination 'sum'; known: weighted_sum"):
        Rule("sum")  # type: ignore[arg-type]
