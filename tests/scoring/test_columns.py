from __future__ import annotations

import pytest

from rayreward.errors import ConfigError
from rayreward.sample import Sample
from rayreward.scoring.columns import Columns, choose_columns, read_sample
from rayreward.types import FailureKind, RewardOutput


def chosen(*found: str, **asked: str) -> str:
    return str(choose_columns(found, Columns(**asked), source="data.jsonl"))


def sample_of(row: object, **columns: str) -> Sample:
    sample = read_sample(row, Columns(**columns))
    assert isinstance(sample, Sample), sample
    return sample


def failure_of(row: object, **columns: str) -> str:
    output = read_sample(row, Columns(**columns))
    assert isinstance(output, RewardOutput)
    assert output.failure is not None
    assert output.failure.kind is FailureKind.INVALID_INPUT
    return output.failure.message


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (("messages", "label"), "messages=messages, label=label"),
        (("messages", "answer"), "messages=messages, label=answer"),
        (("messages", "completion"), "prompt=messages, response=completion"),
        (("prompt", "response"), "prompt=prompt, response=response"),
        (("prompt", "completion", "solution"), "prompt=prompt, response=completion, label=solution"),
        (("question", "solution", "ground_truth"), "prompt=question, response=solution, label=ground_truth"),
        (("question", "answer"), "prompt=question, response=answer"),
        (("problem", "solution", "answer"), "prompt=problem, response=solution, label=answer"),
        (("query", "response"), "prompt=query, response=response"),
        (("query", "prompts", "labels"), "prompt=prompts, label=labels, query=query"),
        (("query",), "query=query"),
        (("response",), "response=response"),
    ],
)
def test_the_known_forms_are_told_from_their_names(found: tuple[str, ...], expected: str) -> None:
    assert chosen(*found) == expected


def test_a_column_that_was_named_wins_and_is_not_used_twice() -> None:
    assert chosen("prompt", "answer", "output", response="answer") == "prompt=prompt, response=answer"
    assert chosen("text", "code", prompt="text", response="code") == "prompt=text, response=code"


def test_unknown_columns_are_listed_with_the_flag_to_use() -> None:
    with pytest.raises(ConfigError, match=r"found the columns code, text; name it with --response-key"):
        chosen("code", "text")


def test_a_named_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--label-key 'gold' is no column of its first row; found the columns"):
        chosen("prompt", "response", label="gold")


def test_messages_cannot_be_named_beside_a_response() -> None:
    with pytest.raises(ConfigError, match="leave out --prompt-key"):
        chosen("chat", "said", messages="chat", response="said")


def test_a_plain_row_becomes_a_sample_with_its_other_columns_as_metadata() -> None:
    row = {"q": "2+2?", "a": "4", "gold": 4, "id": 7, "level": 3, "metadata": {"source": "x"}}
    sample = sample_of(row, prompt="q", response="a", label="gold")
    assert (sample.prompt, sample.response, sample.label, sample.id) == ("2+2?", "4", 4, "7")
    assert sample.metadata == {"source": "x", "level": 3}


def test_chat_messages_may_stand_in_prompt_and_completion() -> None:
    row = {"prompt": [{"role": "user", "content": "hi"}], "completion": [{"role": "assistant", "content": "ho"}]}
    sample = sample_of(row, prompt="prompt", response="completion")
    assert [message.content for message in sample.messages] == ["hi", "ho"]
    assert sample_of({**row, "completion": "ho"}, prompt="prompt", response="completion").response == "ho"


def test_a_query_is_cut_at_its_prompt_and_kept_as_it_came() -> None:
    sample = sample_of({"query": "2+2? 4</s>", "prompt": "2+2? "}, query="query", prompt="prompt")
    assert (sample.response, sample.text) == ("4", "2+2? 4</s>")


def test_a_chat_that_the_assistant_said_nothing_in_is_no_zero() -> None:
    row = {"messages": [{"role": "user", "content": "hi"}]}
    assert "no message of the assistant" in failure_of(row, messages="messages")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1], "found list"),
        ({"prompt": "a"}, "column 'response' is missing"),
        ({"prompt": None, "response": "b"}, "column 'prompt' is null"),
        ({"prompt": "a", "response": 5}, "`$.response`"),
        ({"prompt": "a", "response": "b", "group_size": "many"}, "`$.group_size`"),
    ],
)
def test_a_row_that_does_not_fit_says_why(row: object, reason: str) -> None:
    assert reason in failure_of(row, prompt="prompt", response="response")


@pytest.mark.parametrize(("label", "response"), [("4", "4"), (4, "4"), ({"a": [1]}, '{"a":[1]}'), (True, "true")])
def test_a_label_that_serves_as_the_response_is_read_as_text(label: object, response: str) -> None:
    sample = read_sample({"label": label}, Columns(response="label", label="label"))
    assert isinstance(sample, Sample)
    assert (sample.response, sample.label) == (response, label)
