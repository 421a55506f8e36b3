from __future__ import annotations

import math
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from rayreward.errors import InvalidOutputError
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardInfo, RewardOutput, Timings, finite_score


class TestScores:
    @pytest.mark.parametrize(
        ("value", "score"),
        [
            (1, 1.0),
            (True, 1.0),
            (-2.5, -2.5),
            (Fraction(1, 4), 0.25),
            (Decimal("0.5"), 0.5),
            (np.float32(0.5), 0.5),
            (np.int64(3), 3.0),
            (np.array(0.5), 0.5),
            (np.array([0.5]), 0.5),
            (torch.tensor(0.5), 0.5),
            (torch.tensor([0.5], dtype=torch.bfloat16), 0.5),
            (torch.tensor(True), 1.0),
            (torch.tensor(0.5, requires_grad=True), 0.5),
        ],
    )
    def test_numbers_of_all_kinds_are_scores(self, value: Any, score: float) -> None:
        assert finite_score(value) == score
        assert type(finite_score(value)) is float

    @pytest.mark.parametrize(
        "value",
        [
            "0.5", b"1", None, [1.0], {}, object(), 1j,
            math.nan, math.inf, -math.inf, 10**400, pytest.param(10**5000, id="huge"), Decimal("NaN"), Decimal("sNaN"),
            np.array([1.0, 2.0]), np.array("0.5"), np.float64("nan"), np.str_("1"),
            torch.tensor([1.0, 2.0]), torch.tensor(math.nan), torch.tensor(1j), torch.empty(1, device="meta"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, value: Any) -> None:
        with pytest.raises(InvalidOutputError):
            finite_score(value)

    def test_an_object_that_breaks_while_it_is_read_is_refused_too(self) -> None:
        class Hostile:
            def __float__(self) -> float:
                raise KeyError("no")

            def __repr__(self) -> str:
                raise RuntimeError("no")

        with pytest.raises(InvalidOutputError, match=r"Hostile that cannot be shown.*KeyError"):
            finite_score(Hostile())


class TestRewardOutput:
    def test_unpacks_as_score_and_components(self) -> None:
        score, components = RewardOutput(0.5, {"format": 1, "tone": MetricRewardOutput(0.0, "rude", weight=0.2)})
        assert score == 0.5
        assert components["format"].score == 1.0
        assert (components["tone"].reason, components["tone"].weight) == ("rude", 0.2)

    def test_reward_is_another_name_for_score(self) -> None:
        assert RewardOutput(reward=0.5).score == RewardOutput(score=0.5).reward == 0.5
        with pytest.raises(InvalidOutputError, match="not both"):
            RewardOutput(0.5, reward=0.5)

    def test_without_a_score_it_has_abstained(self) -> None:
        output = RewardOutput()
        assert output.score is None
        assert output.failure is not None
        assert output.failure.kind is FailureKind.ABSTAINED
        assert not output.is_valid

    def test_has_a_score_or_a_failure_and_never_both(self) -> None:
        failure = Failure(FailureKind.ERROR, "broke")
        with pytest.raises(InvalidOutputError, match="both"):
            RewardOutput(0.0, failure=failure)
        assert RewardOutput(failure=failure).score is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"score": math.nan},
            {"score": "high"},
            {"score": 1.0, "metrics": {"a": math.nan}},
            {"score": 1.0, "metrics": {"a": None}},
            {"score": 1.0, "metrics": [1.0]},
            {"score": 1.0, "metadata": "x"},
            {"score": 1.0, "token_rewards": [0.1, math.inf]},
            {"score": 1.0, "token_rewards": 3},
            {"score": 1.0, "step_rewards": "no"},
        ],
    )
    def test_refuses_what_is_no_finite_number(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidOutputError):
            RewardOutput(**fields)

    def test_a_component_without_a_score_is_a_failure_too(self) -> None:
        missing = MetricRewardOutput(None, failure=Failure(FailureKind.TIMEOUT, "slow"))
        assert RewardOutput(1.0, {"judge": missing}).metrics["judge"].failure is not None
        assert MetricRewardOutput().failure is not None
        with pytest.raises(InvalidOutputError):
            MetricRewardOutput(1.0, weight=math.nan)

    def test_takes_tensors_as_token_rewards(self) -> None:
        assert RewardOutput(1.0, token_rewards=torch.tensor([0.5, 1.0])).token_rewards == (0.5, 1.0)

    def test_made_of_what_is_known_to_be_right_it_is_the_same(self) -> None:
        metrics = {"format": MetricRewardOutput(0.5, "no box")}
        assert RewardOutput.checked(0.5, metrics, "half") == RewardOutput(0.5, metrics, reason="half")
        assert RewardOutput.checked(0.5) == RewardOutput(0.5)
        assert RewardOutput.checked(0.5).metrics is not RewardOutput.checked(0.5).metrics

    def test_is_stamped_without_losing_anything(self) -> None:
        output = RewardOutput(0.5, {"a": 1.0}, reason="r", token_rewards=[1], step_rewards=[2], metadata={"k": 1})
        stamped = output.stamped(version="abc", timings=Timings(queued_s=1.0))
        assert (stamped.version, stamped.timings) == ("abc", Timings(queued_s=1.0))
        assert stamped.stamped() == stamped
        assert output.stamped(version=None) == output

    def test_survives_pickling(self) -> None:
        for output in (
            RewardOutput(0.5, {"a": MetricRewardOutput(1.0, "r", 2.0)}, timings=Timings(1, 2, 3, 4), version="v"),
            RewardOutput.failed(FailureKind.CRASHED, "gone", component="judge", metadata={"k": 1}),
        ):
            assert pickle.loads(pickle.dumps(output)) == output


class TestFailure:
    def test_kinds_are_a_closed_list(self) -> None:
        assert Failure("timeout", "slow").kind is FailureKind.TIMEOUT  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="sad"):
            Failure("sad", "…")  # type: ignore[arg-type]

    def test_reads_as_a_line(self) -> None:
        assert str(Failure(FailureKind.TIMEOUT, "slow", "judge")) == "timeout: slow (component judge)"


@pytest.mark.parametrize("value", [Failure(FailureKind.ERROR, "x"), RewardInfo("r", "ready", "v"), Timings(1.0)])
def test_what_travels_survives_pickling(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
