from __future__ import annotations

import asyncio
import json
import math
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from rayreward.errors import BackpressureError, InvalidInputError, MissingExtraError, ServiceUnavailableError
from rayreward.outcome import FILTER_SCORE, failed_output, to_output, to_outputs
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput

HUGE = pytest.param(10**5000, id="huge")
"""More digits than Python agrees to print."""


def kinds(outputs: list[RewardOutput]) -> list[str | None]:
    return [output.failure.kind.value if output.failure else None for output in outputs]


class TestToOutput:
    @pytest.mark.parametrize(
        "value",
        [
            0.5,
            np.float32(0.5),
            torch.tensor(0.5),
            RewardOutput(0.5),
            (0.5, {}),
            (0.5, MappingProxyType({"a": 1.0})),
            (torch.tensor(0.5), {"a": MetricRewardOutput(1.0)}),
            {"score": 0.5},
            {"reward": 0.5},
            {"score": 0.5, "metrics": None, "metadata": None, "token_rewards": None, "reason": None},
        ],
    )
    def test_every_accepted_shape_scores(self, value: Any) -> None:
        assert to_output(value).score == 0.5

    def test_a_dict_keeps_reason_components_and_the_rest(self) -> None:
        output = to_output({"score": 1, "reason": "ok", "metrics": {"a": 0.5}, "step_rewards": [1, 0], "source": "x"})
        assert (output.reason, output.metrics["a"].score, output.step_rewards) == ("ok", 0.5, (1.0, 0.0))
        assert output.metadata == {"source": "x"}

    def test_none_abstains(self) -> None:
        for value in (None, {"score": None}, {"reward": None}):
            assert kinds([to_output(value)]) == ["abstained"]

    @pytest.mark.parametrize(
        "value",
        [
            math.nan, "1.0", [1.0], (1.0,), (1.0, 2.0), (1.0, {}, {}), {}, {"rewards": [1.0]}, object(), HUGE,
            {"score": 1.0, "metrics": [1]}, {"score": 1.0, "metadata": "x"}, {"score": 1.0, "token_rewards": 5},
            {"score": 1.0, "metrics": {"a": "high"}}, (1.0, {"a": math.nan}), (math.nan, {}), (None, {"a": None}),
            {"score": 0.0, "reward": 1.0},
        ],
    )  # fmt: skip
    def test_anything_else_is_an_invalid_output_and_never_raises(self, value: Any) -> None:
        output = to_output(value)
        assert output.score is None
        assert kinds([output]) == ["invalid_output"]

    def test_objects_that_break_are_invalid_outputs(self) -> None:
        class Hostile(dict[str, Any]):
            def __iter__(self) -> Any:
                raise RuntimeError("no")

            keys = __iter__

        assert kinds([to_output(Hostile(score=1.0))]) == ["invalid_output"]


class TestToOutputs:
    @pytest.mark.parametrize(
        "value",
        [
            [0.0, 1.0],
            (0, 1),
            np.array([0.0, 1.0]),
            np.array([[0.0], [1.0]]),
            torch.tensor([0.0, 1.0]),
            torch.tensor([[0.0], [1.0]], dtype=torch.bfloat16),
            [torch.tensor(0.0), torch.tensor([1.0])],
            [[0.0], [1.0]],
            [RewardOutput(0.0), (1.0, {"a": 1.0})],
            [{"score": 0.0}, np.float64(1.0)],
            {"rewards": torch.tensor([0.0, 1.0])},
            {"rewards": [0.0, 1.0], "scores": None, "extra_logs": None},
        ],
    )
    def test_every_accepted_shape_scores_in_order(self, value: Any) -> None:
        assert [output.score for output in to_outputs(value, 2)] == [0.0, 1.0]

    @pytest.mark.parametrize(
        "value",
        [
            [1.0], [1.0, 2.0, 3.0], [], "ab", b"ab", 1.0, None, {1.0, 2.0}, torch.tensor(1.0), torch.ones(3),
            RewardOutput(1.0), {"score": 1.0}, {"rewards": [1.0]}, {"rewards": None},
            {"rewards": [1, 1], "scores": [1]},
            {"rewards": [1.0, 1.0], "extra_logs": [1.0]}, (one for one in (1.0, 2.0)), torch.empty(2, device="meta"),
        ],
    )  # fmt: skip
    def test_a_wrong_count_or_shape_fails_every_sample(self, value: Any) -> None:
        outputs = to_outputs(value, 2)
        assert kinds(outputs) == ["invalid_output"] * 2

    def test_one_bad_value_costs_one_sample(self) -> None:
        outputs = to_outputs([1.0, math.nan, "x", None, 0.0], 5)
        assert kinds(outputs) == [None, "invalid_output", "invalid_output", "abstained", None]
        assert kinds(to_outputs(torch.tensor([1.0, math.inf]), 2)) == [None, "invalid_output"]

    def test_a_batch_of_one_may_be_a_bare_number_in_an_array(self) -> None:
        assert to_outputs(torch.tensor(1.0), 1)[0].score == 1.0
        assert to_outputs([[1.0]], 1)[0].score == 1.0

    def test_of_nothing_is_nothing(self) -> None:
        assert to_outputs([], 0) == []
        assert to_outputs({"rewards": []}, 0) == []


class TestOpenRLHFsDict:
    def test_scores_and_logs_go_with_their_samples(self) -> None:
        outputs = to_outputs(
            {
                "rewards": torch.tensor([0.0, 2.0]),
                "scores": torch.tensor([0.25, 0.75]),
                "extra_logs": {"per_sample": torch.tensor([1.0, 3.0]), "mean": torch.tensor(2.0), "why": ["a", "b"]},
            },
            2,
        )
        assert [output.metadata[FILTER_SCORE] for output in outputs] == [0.25, 0.75]
        assert [output.metrics["per_sample"].score for output in outputs] == [1.0, 3.0]
        assert [output.metadata["mean"] for output in outputs] == [2.0, 2.0]
        assert [output.metadata["why"] for output in outputs] == ["a", "b"]

    def test_a_nan_in_scores_costs_its_own_sample(self) -> None:
        outputs = to_outputs({"rewards": [1.0, 1.0], "scores": [math.nan, 0.5]}, 2)
        assert kinds(outputs) == ["invalid_output", None]

    def test_a_nan_in_the_logs_costs_no_sample(self) -> None:
        outputs = to_outputs({"rewards": [1.0, 0.0], "extra_logs": {"ratio": [math.nan, 0.5]}}, 2)
        assert kinds(outputs) == [None, None]
        assert outputs[0].metadata["ratio"] == "nan"
        assert outputs[1].metrics["ratio"].score == 0.5

    def test_a_nan_reward_costs_its_own_sample(self) -> None:
        assert kinds(to_outputs({"rewards": [math.nan, 0.0], "extra_logs": {"a": [1, 2]}}, 2)) == [
            "invalid_output",
            None,
        ]


class TestFailedOutput:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ValueError("x"), FailureKind.ERROR),
            (SystemExit(1), FailureKind.ERROR),
            (InvalidInputError("x"), FailureKind.INVALID_INPUT),
            (TimeoutError("x"), FailureKind.TIMEOUT),
            (asyncio.CancelledError(), FailureKind.CANCELLED),
            (BackpressureError("x"), FailureKind.REJECTED),
            (ServiceUnavailableError("x"), FailureKind.UNAVAILABLE),
            (MissingExtraError("x"), FailureKind.UNAVAILABLE),
        ],
    )
    def test_knows_what_broke(self, error: BaseException, kind: FailureKind) -> None:
        output = failed_output(error)
        assert output.score is None
        assert output.failure is not None
        assert output.failure.kind is kind

    def test_points_at_the_authors_line_and_not_into_a_library(self) -> None:
        def author() -> Any:
            return json.loads("{")

        try:
            author()
        except ValueError as error:
            failure = failed_output(error).failure
        assert isinstance(failure, Failure)
        assert "JSONDecodeError" in failure.message
        assert "test_outcome.py" in failure.message
        assert "in author" in failure.message

    def test_survives_errors_that_cannot_be_printed(self) -> None:
        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

            __repr__ = __str__

        failure = failed_output(UnprintableError()).failure
        assert failure is not None
        assert "UnprintableError" in failure.message

    def test_keeps_long_messages_short(self) -> None:
        failure = failed_output(ValueError("x" * 100_000)).failure
        assert failure is not None
        assert len(failure.message) <= 2000
