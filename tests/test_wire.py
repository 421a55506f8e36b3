from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest

from rayreward import wire
from rayreward.batches import NOT_KNOWN_YET, EarlyBatch, Rest
from rayreward.errors import InvalidInputError, InvalidOutputError
from rayreward.sample import Sample
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput, Timings

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
DEEP = json.loads("[" * 900 + "]" * 900)


def reason(item: Any) -> str:
    output = wire.decode_sample(item)
    assert isinstance(output, RewardOutput)
    assert output.failure is not None
    assert output.failure.kind is FailureKind.INVALID_INPUT
    return output.failure.message


def there_and_back(samples: list[Sample]) -> list[Sample | RewardOutput]:
    request = wire.decode_score_request(wire.encode_score_request(samples, timeout_s=3.0, run="r"))
    assert (request.timeout_s, request.run) == (3.0, "r")
    return [wire.decode_sample(item) for item in request.samples]


class TestRequests:
    def test_samples_come_back_as_they_went(self) -> None:
        samples: list[Sample] = [
            Sample(CHAT, label=4, metadata={"a": [1, {"b": None}]}, id="x", group_id="g", group_size=2),
            Sample(prompt="p", response="r", steps=["a", "b"], token_ids=[1, 2]),
            Sample(response="\x00 \N{MINUS SIGN} 😀"),
        ]
        assert there_and_back(samples) == samples

    @pytest.mark.parametrize("format", ["json", "msgpack"])
    def test_the_priority_is_read_whether_or_not_every_sample_fits(self, format: wire.Format) -> None:
        body = wire.encode_score_request([Sample(response="a")], priority="eval", format=format)
        assert wire.decode_score_request(body, format=format).priority == "eval"
        assert wire.decode_score_request(b'{"samples": [5], "priority": "batch"}').priority == "batch"
        assert wire.decode_score_request(b'{"samples": []}').priority == "train"

    def test_numbers_and_arrays_of_data_sets_become_plain(self) -> None:
        [sample] = there_and_back([Sample(response="a", label=np.int64(4), metadata={"ids": np.arange(2)})])
        assert isinstance(sample, Sample)
        assert (sample.label, sample.metadata) == (4, {"ids": [0, 1]})

    @pytest.mark.parametrize(
        "sample",
        [
            Sample(response="a", label=object()),
            Sample(response="\ud800"),
            Sample(response="a", label={(1, object()): 2}),
            Sample(response="a", metadata={"f": lambda: 0}),
            pytest.param(Sample(response="a", label=10**5000), id="huge"),
        ],
    )
    def test_what_json_cannot_hold_is_refused_and_can_be_told_apart(self, sample: Sample) -> None:
        with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
            wire.encode_score_request([Sample(response="good"), sample], timeout_s=None, run=None)
        assert wire.refusal_of(Sample(response="good")) is None
        refusal = wire.refusal_of(sample)
        assert refusal is not None
        assert refusal.failure is not None

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"null", b"5", b'"samples"', b"{}", b'{"samples": {}}', b'{"samples": [], "timeout": 3}',
            b'{"samples": [], "timeout_s": 0}', b'{"samples": [], "timeout_s": -1}',
            b'{"samples": [], "timeout_s": "3"}', b'{"samples": [], "run": 3}', b'{"samples": [NaN]}',
            b'{"samples": [], "timeout_s": Infinity}',
            b"\xff\xfe", b"[" * 200_000, b'{"a":' * 200_000,
        ],
    )  # fmt: skip
    def test_a_malformed_body_is_an_invalid_input(self, body: bytes) -> None:
        with pytest.raises(InvalidInputError):
            wire.decode_score_request(body)

    def test_lone_surrogates_are_refused_a_sample_at_a_time(self) -> None:
        chat = b'{"messages": [{"role": "user", "content": "\\udfff"}]}'
        body = b'{"samples": [{"response": "\\ud800"}, {"response": "ok"}, %b]}' % chat
        broken, fine, chat = wire.decode_score_request(body).samples
        assert "lone surrogate at character 0" in reason(broken)
        assert "lone surrogate" in reason(chat)
        assert wire.decode_sample(fine) == Sample(response="ok")

    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (None, "Expected `object`, got `null`"),
            ("text", "Expected `object`"),
            ({}, "needs messages or a response"),
            ({"response": 5}, r"Expected `str \| null`, got `int` - at `\$.response`"),
            ({"reponse": "a"}, "unknown field `reponse`"),
            ({"response": "a", "messages": CHAT}, "not both"),
            ({"messages": [{"content": "a"}]}, r"messages\[0\]"),
            ({"messages": [{"role": "assistant", "content": 4}]}, "content must be text"),
            ({"response": "a", "token_ids": ["x"]}, "token_ids"),
            ({"response": "a", "metadata": []}, "metadata"),
            ({"response": "a", "label": DEEP}, "nested deeper than 64"),
            ({"response": "a", "metadata": {"a": DEEP}}, "nested deeper than 64"),
        ],
    )
    def test_a_malformed_sample_fails_alone_and_says_why(self, item: Any, message: str) -> None:
        assert re.search(message, reason(item))


class TestAnswers:
    OUTPUTS = (
        RewardOutput(
            0.5,
            {
                "a": MetricRewardOutput(1.0, "r", 2.0),
                "b": MetricRewardOutput(failure=Failure(FailureKind.TIMEOUT, "t")),
            },
            reason="why",
            token_rewards=[0.1, 0.2],
            step_rewards=[1],
            metadata={"k": [1, None]},
            version="abc",
            timings=Timings(0.1, 0.2, 0.3, 4),
        ),
        RewardOutput.failed(FailureKind.CRASHED, "gone", component="judge"),
    )

    def test_outputs_come_back_as_they_went(self) -> None:
        assert wire.decode_answer(wire.encode_answer("r", self.OUTPUTS), 2) == list(self.OUTPUTS)

    @pytest.mark.parametrize(
        "value",
        [
            math.nan, math.inf, "\ud800", 2**70, pytest.param(10**5000, id="huge"), {(1, 2): 3}, {1: {2}}, object(),
            np.arange(2), np.float32(1), b"\xff", DEEP, lambda: 0,
        ],
    )  # fmt: skip
    def test_odd_metadata_and_reasons_never_stop_an_answer(self, value: Any) -> None:
        outputs = [RewardOutput(1.0, metadata={"odd": value}, reason="said \ud800"), RewardOutput(0.0)]
        body = wire.encode_answer("r", outputs)
        assert b"NaN" not in body
        assert b"Infinity" not in body
        back = wire.decode_answer(body, 2)
        assert [output.score for output in back] == [1.0, 0.0]
        assert back[0].reason == "said \\ud800"

    def test_metadata_that_holds_itself_does_not_either(self) -> None:
        loop: dict[str, Any] = {}
        loop["self"] = loop
        assert wire.decode_answer(wire.encode_answer("r", [RewardOutput(1.0, metadata=loop)]), 1)[0].score == 1.0

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"<html>", b"{}", b'{"reward": "r", "outputs": []}', b'{"reward": "r", "outputs": [{}, {}]}',
            b'{"reward": "r", "outputs": [{"score": "1"}]}', b'{"reward": "r", "outputs": [{"score": NaN}]}',
            b'{"reward": "r", "outputs": [{"failure": {"kind": "sad", "message": ""}}]}',
            b'{"reward": "r", "outputs": [{"score": 1, "failure": {"kind": "error", "message": ""}}]}',
        ],
    )  # fmt: skip
    def test_another_servers_answer_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidOutputError):
            wire.decode_answer(body, 1)

    def test_an_output_with_neither_is_an_abstention(self) -> None:
        [output] = wire.decode_answer(b'{"reward": "r", "outputs": [{}]}', 1)
        assert output.failure is not None
        assert output.failure.kind is FailureKind.ABSTAINED


@pytest.mark.parametrize("format", ["json", "msgpack"])
class TestEarly:
    def test_what_is_under_way_is_null_and_has_a_ticket(self, format: wire.Format) -> None:
        early = EarlyBatch.without([RewardOutput(1.0), NOT_KNOWN_YET], {1: "r/1"})
        back = wire.decode_answer(wire.encode_answer("r", early, format=format), 2, format=format)
        assert isinstance(back, EarlyBatch)
        assert (back.known(back), back.tickets) == ([RewardOutput(1.0)], {1: "r/1"})

    def test_tickets_are_asked_by_where_samples_are(self, format: wire.Format) -> None:
        write = msgspec.msgpack.encode if format == "msgpack" else msgspec.json.encode
        asked = wire.decode_score_request(write({"tickets": ["r/1", "r/2"]}), format=format)
        assert isinstance(asked, wire.RestBody)
        assert asked.tickets == ["r/1", "r/2"]
        for wrong in ({}, {"tickets": 5}, {"tickets": [1]}, {"tickets": [], "samples": []}):
            with pytest.raises(InvalidInputError, match="samples"):
                wire.decode_score_request(write(wrong), format=format)

    @pytest.mark.parametrize("value", [None, math.nan, "\ud800", object()])
    def test_the_rest_comes_back_as_it_went(self, format: wire.Format, value: Any) -> None:
        output = RewardOutput(0.5, metadata={"odd": value}, reason=None if value is None else "said \ud800")
        rest = Rest([output, RewardOutput.failed(FailureKind.TIMEOUT, "slow")], [2, 0], [3])
        back = wire.decode_rest(wire.encode_rest(rest, format=format), 4, format=format)
        assert ([one.score for one in back.outputs], back.positions, back.unknown) == ([0.5, None], [2, 0], [3])

    @pytest.mark.parametrize(
        "body",
        [
            {}, {"outputs": {}, "unknown": [4]}, {"outputs": {"0": {}}, "unknown": [0]},
            {"outputs": {"x": {}}, "unknown": []}, {"outputs": {"-1": {"score": 1.0}}, "unknown": []},
        ],
    )  # fmt: skip
    def test_what_speaks_of_other_tickets_is_refused(self, format: wire.Format, body: Any) -> None:
        write = msgspec.msgpack.encode if format == "msgpack" else msgspec.json.encode
        with pytest.raises(InvalidOutputError):
            wire.decode_rest(write(body), 4, format=format)

    def test_a_missing_output_without_a_ticket_is_refused(self, format: wire.Format) -> None:
        write = msgspec.msgpack.encode if format == "msgpack" else msgspec.json.encode
        for tickets in ({}, {"1": "r/1"}, {"x": "r/1"}):
            with pytest.raises(InvalidOutputError):
                wire.decode_answer(write({"reward": "r", "outputs": [None], "tickets": tickets}), 1, format=format)


class TestMsgpack:
    def test_samples_come_back_as_they_would_from_json(self) -> None:
        samples: list[Sample] = [
            Sample(CHAT, label=math.nan, metadata={"a": [1, {"b": None}], "t": (1, math.inf)}, id="x", group_size=2),
            Sample(prompt="p", response="\x00 \N{MINUS SIGN} 😀", label=np.int64(4), token_ids=[1, 2]),
        ]
        body = wire.encode_score_request(samples, run="r", format="msgpack")
        back = [wire.decode_sample(item) for item in wire.decode_score_request(body, format="msgpack").samples]
        assert back == there_and_back(samples)

    @pytest.mark.parametrize(
        "label", [math.nan, [math.inf], b"bytes", {1: 2}, msgspec.msgpack.Ext(5, b""), {"deep": [{"at": b"x"}]}]
    )
    @pytest.mark.parametrize("more", [{}, {"no_such_field": 1}])
    def test_what_json_has_no_form_for_fails_its_sample_alone(self, label: Any, more: dict[str, Any]) -> None:
        body = msgspec.msgpack.encode({"samples": [{"response": "a", "label": label}, {"response": "b"}, more]})
        first, second, _ = map(wire.decode_sample, wire.decode_score_request(body, format="msgpack").samples)
        assert isinstance(first, RewardOutput)
        assert first.failure is not None
        assert "what JSON can hold" in first.failure.message
        assert isinstance(second, Sample)

    @pytest.mark.parametrize(
        "body", [b"", b"\xc1", b"{}", b"\x91" * 100_000, b"\x81\x90\x01", msgspec.msgpack.encode({"samples": 5})]
    )
    def test_a_malformed_body_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidInputError):
            wire.decode_score_request(body, format="msgpack")

    @pytest.mark.parametrize("value", [math.nan, object(), "\ud800", 10**400, {(1, 2): {3}}])
    def test_an_answer_can_always_be_written_and_holds_no_nan(self, value: Any) -> None:
        outputs = [RewardOutput(1.0, metadata={"odd": value}, reason="said \ud800"), RewardOutput(0.25)]
        body = wire.encode_answer("r", outputs, format="msgpack")
        back = wire.decode_answer(body, 2, format="msgpack")
        assert [output.score for output in back] == [1.0, 0.25]
        assert not isinstance(back[0].metadata["odd"], float)


@pytest.mark.parametrize(
    "sample",
    [
        {"response": "a"}, {"prompt": "p", "response": "r", "label": {"a": 1}}, {"messages": CHAT}, {"messages": []},
        {"response": "a", "steps": ["s"], "token_ids": [1], "group_id": "g", "group_size": 2}, {"response": 5},
        {"response": "a", "messages": CHAT}, {"response": "a", "label": DEEP}, {"response": "a", "metadata": []},
    ],
)  # fmt: skip
def test_a_sample_means_the_same_alone_and_among_malformed_ones(sample: dict[str, Any]) -> None:
    alone = wire.decode_score_request(json.dumps({"samples": [sample]}).encode()).samples
    among = wire.decode_score_request(json.dumps({"samples": [sample, 5]}).encode()).samples
    assert wire.decode_sample(alone[0]) == wire.decode_sample(among[0])
