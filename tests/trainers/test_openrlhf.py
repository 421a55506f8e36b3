from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.outcome import FILTER_SCORE
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import (
    RewardRequest,
    TrainerAnswer,
    decode_any_request,
    decode_request,
    encode_answer,
    response_of,
    strip_end_tokens,
)
from rayreward.types import RewardOutput

DEEP = json.loads("[" * 900 + "]" * 900)


def decoded(**body: Any) -> RewardRequest:
    return decode_request(json.dumps(body).encode())


def only(request: RewardRequest) -> Sample:
    [sample] = request.items
    assert isinstance(sample, Sample)
    return sample


class TestRequest:
    def test_from_0_9_1_on_it_holds_one_query(self) -> None:
        request = decoded(query=["<|im_start|>2 + 2?4<|im_end|>"], prompts=["<|im_start|>2 + 2?"], labels=["4"])
        sample = only(request)
        assert (sample.prompt, sample.response, sample.label) == ("<|im_start|>2 + 2?", "4", "4")
        assert sample.text == "<|im_start|>2 + 2?4<|im_end|>"
        assert request.prompts == ["<|im_start|>2 + 2?"]

    def test_in_0_8_it_holds_a_whole_batch(self) -> None:
        request = decoded(query=["qa", "qb", "rc"], prompts=["q", "q", "r"], labels=["1", 2, {"tests": []}])
        samples = [item for item in request.items if isinstance(item, Sample)]
        assert [sample.response for sample in samples] == ["a", "b", "c"]
        assert [sample.label for sample in samples] == ["1", 2, {"tests": []}]

    def test_up_to_0_11_0_it_may_be_empty(self) -> None:
        assert decoded(query=[], prompts=[], labels=[]) == RewardRequest([], [])

    def test_prompts_and_labels_may_be_missing(self) -> None:
        sample = only(decoded(query=["text"]))
        assert (sample.prompt, sample.response, sample.label) == ("", "text", None)
        assert only(decoded(query=["qa"], prompts=["q"], labels=[""])).label is None

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"[]", b"null", b"{}", b'{"query": "text"}', b'{"query": null}', b"\xff", b"{",
            b'{"query": ["a"], "prompts": []}', b'{"query": ["a"], "prompts": ["q"], "labels": ["1", "2"]}',
            b'{"query": ["a"], "prompts": "q"}', b'{"query": [], "labels": ["1"]}', b'{"query": [NaN]}', b"[" * 100_000,
        ],
    )  # fmt: skip
    def test_a_malformed_body_is_an_invalid_input(self, body: bytes) -> None:
        with pytest.raises(InvalidInputError):
            decode_request(body)

    def test_lists_of_different_lengths_are_named(self) -> None:
        with pytest.raises(
            InvalidInputError, match="'query' and 'prompts' must be lists of one length: 1 queries, found 2"
        ):
            decoded(query=["a"], prompts=["q", "q"])

    @pytest.mark.parametrize(
        "row",
        [(5, "q", ""), (None, "q", ""), ("qa", 5, ""), ("\ud800", "", ""), ("qa", "\ud800", ""), ("qa", "q", DEEP)],
    )
    def test_a_malformed_query_fails_alone(self, row: tuple[Any, Any, Any]) -> None:
        query, prompt, label = row
        request = decoded(query=["qa", query], prompts=["q", prompt], labels=["", label])
        assert isinstance(request.items[0], Sample)
        output = request.items[1]
        assert isinstance(output, RewardOutput)
        assert output.failure is not None
        assert output.failure.kind.value == "invalid_input"


class TestResponse:
    @pytest.mark.parametrize(
        ("query", "prompt", "response"),
        [
            ("2 + 2? 4", "2 + 2? ", "4"),
            ("q", "q", ""),
            ("text", "", "text"),
            ("", "", ""),
            ("", "q", ""),
            ("the end of it: 4", "cut away. the end of it: ", "4"),
            ("ab ab x", "ab ab ab ", "x"),
            ("something else", "prompt", "something else"),
            ("x" * 100 + "4", "y" * 50 + "x" * 100, "4"),
        ],
    )
    def test_is_what_follows_the_prompt_or_what_truncation_kept_of_it(
        self, query: str, prompt: str, response: str
    ) -> None:
        assert response_of(query, prompt) == response

    @pytest.mark.parametrize(
        ("query", "prompt"),
        [
            ("", "p" * 1_000_000),
            ("a" * 100 + "b", "a" * 1_000_000),
            ("a" * 1_000_000 + "b", "a" * 1_000_000 + "c"),
            ("ab" * 400_000, "ab" * 500_000 + "c"),
        ],
        ids=["empty", "short", "long", "repeating"],
    )
    def test_a_hostile_megabyte_takes_no_time_squared(self, query: str, prompt: str) -> None:
        assert query.endswith(response_of(query, prompt))

    @pytest.mark.parametrize(
        ("text", "stripped"),
        [
            ("42<|im_end|>\n", "42"),
            ("42</s></s> <eos>", "42"),
            ("42 ", "42 "),
            ("<|im_end|>", ""),
            ("a<|im_end|>b", "a<|im_end|>b"),
            ("", ""),
        ],
    )
    def test_loses_the_special_tokens_that_end_it_and_nothing_else(self, text: str, stripped: str) -> None:
        assert strip_end_tokens(text) == stripped


class TestAnswer:
    def test_one_query_is_answered_with_the_same_keys_always(self) -> None:
        for answer, valid in ((TrainerAnswer(0.5, 0.5, True), 1.0), (TrainerAnswer(0.0, 0.0, False), 0.0)):
            body = json.loads(encode_answer([answer]))
            assert body.keys() == {"rewards", "scores", "extra_logs"}
            assert body["extra_logs"] == {"reward_valid": [valid]}

    def test_a_batch_is_answered_flat_in_order_and_without_logs(self) -> None:
        body = json.loads(encode_answer([TrainerAnswer(float(at), 0.5, True) for at in range(3)]))
        assert body == {"rewards": [0.0, 1.0, 2.0], "scores": [0.5] * 3, "extra_logs": {}}
        assert json.loads(encode_answer([])) == {"rewards": [], "scores": [], "extra_logs": {}}

    def test_nan_is_written_for_a_dropped_sample_and_nowhere_else(self) -> None:
        dropped, filled = TrainerAnswer.filled(0.5, drop=True), TrainerAnswer.filled(0.5, drop=False)
        assert encode_answer([dropped]) == b'{"rewards": [0.5], "scores": [NaN], "extra_logs": {"reward_valid": [0.0]}}'
        assert b"NaN" not in encode_answer([filled])

    @pytest.mark.parametrize(
        ("metadata", "filter_score"),
        [
            ({}, 2.0),
            ({FILTER_SCORE: 0.25}, 0.25),
            ({FILTER_SCORE: math.nan}, 2.0),
            ({FILTER_SCORE: "x"}, 2.0),
            ({FILTER_SCORE: None}, 2.0),
        ],
    )
    def test_a_scored_sample_never_answers_nan(self, metadata: dict[str, Any], filter_score: float) -> None:
        answer = TrainerAnswer.scored(RewardOutput(2.0, metadata=metadata), 2.0)
        assert (answer.reward, answer.filter_score, answer.is_valid) == (2.0, filter_score, True)


HOSTILE = [
    {"query": ["qa"], "prompts": ["q"], "labels": ["4"]},
    {"query": ["qa", "qb"], "prompts": ["q", "q"], "labels": [4, {"a": [1.5, None]}]},
    {"query": ["a"]},
    {"query": ["a"], "prompts": None, "labels": None},
    {"query": []},
    {"query": [], "prompts": [], "labels": []},
    {"query": ["a", 5, None, ["b"]], "prompts": ["", "", "", ""], "labels": [1, 2, 3, 4]},
    {"query": ["a", "b"], "prompts": [None, 7]},
    {"query": ["a", "b"], "prompts": ["q"]},
    {"query": ["a"], "labels": "4"},
    {"query": "a"},
    {"query": None},
    {"queries": ["a"]},
    {"query": ["a"], "prompts": ["x"], "labels": [""], "more": {"deep": [[[]]]}},
    {"query": ["2\u00a0\u2212 4<|im_end|>\n"], "prompts": ["2"], "labels": ["\u2212"]},
    {"query": ["\x00a"], "labels": [True]},
    {"query": ["\ud800", "qa"], "prompts": ["", "q"]},
    {"query": ["a"], "labels": ["\udfff"]},
    {"query": ["a"], "labels": [10**30]},
    [], 5, None, "query",
]  # fmt: skip

RAW = [
    b"", b"{", b"\xff", b"[" * 10_000, b'{"query": ["a"], "labels": [NaN]}', b'{"query": ["a"], "labels": [1e999]}',
    b'{"query": ["a"], "x": "\xff"}', b'{"query": ["a"], "x": NaN}', b'{"query": [5], "query": ["a"]}',
    b'{"query": ["a"], "query": null}', b'{"query": ["a"], "labels": [' + b"[" * 90 + b"]" * 90 + b"]}",
    b'{"query": ["a"], "labels": [' + b"[" * 5_000 + b"]" * 5_000 + b"]}", b'{"query": ["a"]} {}',
    b'\xef\xbb\xbf{"query": ["a"]}', b'{"query": ["\\ud83d\\ude00"], "labels": ["\\u0000"]}',
]  # fmt: skip


def told(decode: Callable[[bytes], RewardRequest], body: bytes) -> object:
    try:
        return decode(body)
    except InvalidInputError as error:
        return str(error)


@pytest.mark.parametrize("body", [*(json.dumps(one).encode() for one in HOSTILE), *RAW], ids=range(len(HOSTILE + RAW)))
def test_a_request_means_the_same_however_it_is_read(body: bytes) -> None:
    assert told(decode_request, body) == told(decode_any_request, body)
