from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.sample import Sample
from rayreward.signature import read_signature

SAMPLE = Sample(prompt="q", response="a", label="l", metadata={"source": "gsm8k", "level": 3}, id="7")


def test_a_function_gets_the_fields_that_it_names() -> None:
    signature = read_signature(lambda response, label, id: 1.0)
    assert signature.arguments(SAMPLE, {}) == {"response": "a", "label": "l", "id": "7"}


def test_its_other_parameters_come_from_the_columns() -> None:
    signature = read_signature(lambda response, level, tolerance=0.1: 1.0)
    assert signature.arguments(SAMPLE, {}) == {"response": "a", "level": 3}


def test_a_missing_column_is_an_invalid_input_that_names_it() -> None:
    with pytest.raises(InvalidInputError, match="needs 'answer'"):
        read_signature(lambda response, answer: 1.0).arguments(SAMPLE, {})


def test_configured_arguments_win_over_the_samples_own() -> None:
    def reward(response: str, label: str, level: int) -> float:
        return 1.0

    configured = {"label": "fixed", "level": 9}
    signature = read_signature(reward, configured=configured)
    assert signature.arguments(SAMPLE, configured) == {"response": "a", "label": "fixed", "level": 9}


def test_with_open_keywords_it_gets_all_columns_and_the_usual_fields() -> None:
    arguments = read_signature(lambda messages, **kwargs: 1.0).arguments(SAMPLE, {})
    assert arguments["source"] == "gsm8k"
    assert arguments["original_messages"] == [{"role": "user", "content": "q"}]
    assert {"response", "prompt", "label", "metadata"} <= arguments.keys()
    assert not {"sample", "trajectory", "token_ids"} & arguments.keys()


def test_a_field_wins_over_a_column_of_its_name() -> None:
    sample = Sample(response="a", label="right", metadata={"label": "wrong"})
    assert read_signature(lambda label, **kwargs: 1.0).arguments(sample, {})["label"] == "right"


def test_what_it_gets_is_its_own_to_change() -> None:
    arguments = read_signature(lambda messages, metadata: 1.0).arguments(SAMPLE, {})
    arguments["messages"].clear()
    arguments["metadata"].clear()
    assert SAMPLE.metadata["level"] == 3
    assert len(SAMPLE.messages) == 2


class TestBatch:
    def test_plural_names_say_that_it_takes_batches(self) -> None:
        signature = read_signature(lambda queries, prompts, labels: 1.0)
        assert signature.mode == "batch"
        assert signature.batch_arguments([SAMPLE, Sample(response="b")], {}) == {
            "queries": ["qa", "b"],
            "prompts": ["q", ""],
            "labels": ["l", None],
        }

    def test_singular_names_do_not(self) -> None:
        assert read_signature(lambda messages, metadata, **kwargs: 1.0).mode == "pointwise"
        assert read_signature(lambda messages, **kwargs: 1.0, mode="batch").mode == "batch"

    def test_columns_become_lists_with_none_where_a_sample_lacks_one(self) -> None:
        signature = read_signature(lambda responses, source, **kwargs: 1.0)
        arguments = signature.batch_arguments([SAMPLE, Sample(response="b")], {"level": [0, 0]})
        assert arguments["source"] == ["gsm8k", None]
        assert arguments["level"] == [0, 0]

    def test_a_column_that_no_sample_has_is_missing(self) -> None:
        with pytest.raises(InvalidInputError, match="needs 'answer'"):
            read_signature(lambda responses, answer: 1.0).batch_arguments([SAMPLE], {})


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (lambda: 1.0, {}, "takes no parameter"),
        (lambda *args: 1.0, {}, "takes no parameter"),
        (lambda response, /: 1.0, {}, "positional-only"),
        (max, {}, "does not tell its parameters"),
        (lambda response, labels: 1.0, {}, "takes batches, so its parameter 'response' must be 'responses'"),
        (lambda query: 1.0, {"mode": "batch"}, "'query' must be 'queries'"),
        (lambda response, limit=1: 1.0, {"configured": {"limt": 2}}, "no parameter 'limt'; did you mean 'limit'"),
    ],
)
def test_what_cannot_be_called_is_refused_at_the_start(
    function: Callable[..., Any], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_signature(function, **options)


def test_partials_and_callable_objects_are_read_too() -> None:
    class Scorer:
        def __call__(self, response: str, label: str) -> float:
            return 1.0

    assert read_signature(Scorer()).taken == ("response", "label")
    assert read_signature(functools.partial(lambda response, limit: 1.0, limit=3)).own == ("limit",)
    assert read_signature(functools.partial(lambda response, limit: 1.0, limit=3)).required == frozenset()
