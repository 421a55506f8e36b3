from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.messages import as_messages
from rayreward.sample import Sample, Trajectory

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4"},
]


def test_derives_prompt_and_response_from_messages() -> None:
    sample = Sample(CHAT)
    assert sample.prompt == "system: Be brief.\nuser: 2 + 2?"
    assert sample.response == "4"
    assert sample.original_messages == as_messages(CHAT[:2])
    assert sample.messages == as_messages(CHAT)


def test_derives_messages_from_prompt_and_response() -> None:
    sample = Sample(prompt="2 + 2?", response="4")
    assert [message.role for message in sample.messages] == ["user", "assistant"]
    assert Sample(response="4").original_messages == ()


def test_a_conversation_that_no_assistant_ends_has_an_empty_response() -> None:
    assert Sample(CHAT[:2]).response == ""


def test_its_text_is_the_trainers_own_where_there_is_one() -> None:
    assert Sample(prompt="a", response="b").text == "ab"
    assert Sample(prompt="a", response="b", metadata={"query": "<s>ab</s>"}).text == "<s>ab</s>"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": "only"},
        {"messages": CHAT, "response": "4"},
        {"messages": CHAT, "prompt": "2 + 2?"},
        {"response": 4},
        {"response": "4", "prompt": 5},
        {"response": "4", "metadata": ["a"]},
        {"response": "4", "steps": "one text"},
    ],
)
def test_refuses_what_makes_no_sample(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Sample(**fields)


@pytest.mark.parametrize(
    "sample",
    [
        Sample(CHAT, label=4, metadata={"a": [1]}, id="x", group_id="g", group_size=2),
        Sample(prompt="p", response="r", steps=["a", "b"], token_ids=[1, 2]),
        Sample(response="\ud800\x00"),
    ],
)
def test_survives_pickling_and_equals_its_twin(sample: Sample) -> None:
    twin = pickle.loads(pickle.dumps(sample))
    assert twin == sample
    assert twin.messages == sample.messages
    assert copy.deepcopy(sample) == sample


def test_does_not_change_with_the_dict_that_it_was_made_of() -> None:
    columns = {"source": "gsm8k"}
    sample = Sample(response="4", metadata=columns)
    columns["source"] = "other"
    assert sample.metadata == {"source": "gsm8k"}


def test_made_of_what_is_known_to_be_right_it_is_the_same() -> None:
    made = Sample.checked("2 + 2?", "4", "4", {"query": "2 + 2? 4"}, group_id="g", group_size=8)
    fields = {"label": "4", "metadata": {"query": "2 + 2? 4"}, "group_id": "g", "group_size": 8}
    assert made == Sample(prompt="2 + 2?", response="4", **fields)
    assert Sample.checked("", "4") == Sample(response="4")
    assert Sample.checked("", "4").metadata is not Sample.checked("", "4").metadata


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Sample(response="4").response = "5"  # type: ignore[misc]


def test_counts_the_texts_of_its_columns_as_size() -> None:
    small, large = Sample(response="a"), Sample(response="a", metadata={"tests": "x" * 5000}, label="y" * 100)
    assert large.size_bytes - small.size_bytes == 5100


def test_counts_its_token_ids_and_estimates_what_has_none() -> None:
    assert Sample(prompt="p" * 40, response="r" * 80, token_ids=[1, 2, 3]).token_count == 10 + 3
    assert Sample(prompt="p" * 40, response="r" * 80).token_count == 31
    assert Sample(response="").token_count == 1


def test_is_a_trajectory() -> None:
    assert Trajectory is Sample
