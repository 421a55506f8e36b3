from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import pytest

from rayreward.batches import NOT_KNOWN_YET, AskedAgain, EarlyBatch, OutputBatch, Rest, SampleBatch
from rayreward.sample import Sample
from rayreward.types import FailureKind, MetricRewardOutput, RewardOutput, Timings

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
SAMPLES = [
    Sample(CHAT, label=4, metadata={"a": [1]}, id="x", group_id="g", group_size=2),
    Sample(prompt="p", response="r", steps=["a", "b"], token_ids=[1, 2]),
    Sample(response="\ud800\x00"),
]
TIMES = Timings(1.0, 2.0, 3.0, 4)
OUTPUTS = [
    RewardOutput(0.5, {"a": MetricRewardOutput(1.0, "r", 2.0)}, timings=TIMES, version="v", metadata={"k": 1}),
    RewardOutput.failed(FailureKind.CRASHED, "gone", component="judge"),
    RewardOutput(1.0, token_rewards=[1.0], step_rewards=[2.0], reason="why"),
]


def sent(batch: Any) -> Any:
    """As Ray does it."""
    return pickle.loads(cloudpickle.dumps(batch, protocol=5))


class TestPickling:
    @pytest.mark.parametrize("samples", [[], SAMPLES[:1], SAMPLES, SAMPLES[2:] * 100])
    def test_samples_come_back_equal_and_in_order(self, samples: Sequence[Sample]) -> None:
        batch = sent(SampleBatch(samples))
        assert type(batch) is SampleBatch
        assert batch == samples
        assert [sample.messages for sample in batch] == [sample.messages for sample in samples]

    @pytest.mark.parametrize("outputs", [[], OUTPUTS[1:2], OUTPUTS, OUTPUTS[:1] * 100])
    def test_outputs_come_back_equal_and_in_order(self, outputs: Sequence[RewardOutput]) -> None:
        batch = sent(OutputBatch(outputs))
        assert type(batch) is OutputBatch
        assert batch == outputs

    def test_values_that_cannot_be_compared_travel_like_any_other(self) -> None:
        batch = sent(SampleBatch(Sample(response="r", label=np.array([at, at])) for at in range(3)))
        assert [sample.label.tolist() for sample in batch] == [[0, 0], [1, 1], [2, 2]]

    def test_a_value_that_all_rows_share_travels_once(self) -> None:
        label = "x" * 10_000
        assert len(pickle.dumps(SampleBatch([Sample(response=str(at), label=label) for at in range(50)]))) < 20_000

    def test_metadata_of_their_own_stays_their_own(self) -> None:
        first, second = sent(SampleBatch([Sample(response="a"), Sample(response="b")]))
        assert first.metadata is not second.metadata


class TestEarly:
    def test_what_is_missing_travels_with_its_tickets(self) -> None:
        early = sent(EarlyBatch.without([*OUTPUTS, NOT_KNOWN_YET], {3: "ticket"}))
        assert type(early) is EarlyBatch
        assert early.tickets == {3: "ticket"}
        assert early.known(early) == OUTPUTS
        assert early.known(["a", "b", "c", "d"]) == ["a", "b", "c"]

    def test_samples_that_are_asked_for_again_have_a_ticket_each(self) -> None:
        asked = AskedAgain.by(["ticket"], [Sample(response="a")])
        assert (asked, asked.tickets) == ([Sample(response="a")], ["ticket"])

    def test_the_rest_travels(self) -> None:
        rest = Rest(OutputBatch(OUTPUTS), [0, 1, 2], [3])
        assert sent(rest) == rest


class TestStamping:
    def test_one_value_for_all_or_one_each(self) -> None:
        times = [Timings(queued_s=float(at)) for at in range(3)]
        stamped = OutputBatch.stamped(OUTPUTS, version="new", timings=times)
        assert [output.version for output in stamped] == ["new"] * 3
        assert [output.timings for output in stamped] == times
        assert [output.timings for output in OutputBatch.stamped(OUTPUTS, timings=TIMES)] == [TIMES] * 3

    def test_loses_nothing_and_leaves_the_given_ones_as_they_were(self) -> None:
        assert OutputBatch.stamped(OUTPUTS) == OUTPUTS
        OutputBatch.stamped(OUTPUTS, version="new")
        assert [output.version for output in OUTPUTS] == ["v", None, None]
