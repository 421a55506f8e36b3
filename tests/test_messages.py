from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.messages import Message, as_messages, split_chat


class TestMessage:
    def test_reads_as_a_dict_and_by_attribute(self) -> None:
        message = Message(role="tool", content="9 C", name="weather", tool_call_id="call_1", refusal=None)
        assert (message.role, message["content"], message.name, message.tool_call_id) == (
            "tool",
            "9 C",
            "weather",
            "call_1",
        )
        assert json.loads(json.dumps(message)) == dict(message)

    def test_keeps_keys_beyond_the_shape(self) -> None:
        assert Message(role="user", content="hi", weight=0)["weight"] == 0

    @pytest.mark.parametrize(
        "change",
        [
            lambda message: message.__setitem__("content", "x"),
            lambda message: message.__delitem__("content"),
            lambda message: message.update(content="x"),
            lambda message: message.setdefault("name", "x"),
            lambda message: message.pop("content"),
            lambda message: message.popitem(),
            lambda message: message.clear(),
            lambda message: message.__ior__({"content": "x"}),
        ],
    )
    def test_refuses_every_change(self, change: Any) -> None:
        message = Message(role="user", content="hi")
        with pytest.raises(TypeError, match="frozen"):
            change(message)
        assert message == {"role": "user", "content": "hi"}

    def test_survives_pickling_and_copying(self) -> None:
        message = Message(role="assistant", content=[{"type": "text", "text": "hi"}])
        for twin in (pickle.loads(pickle.dumps(message)), copy.copy(message), copy.deepcopy(message)):
            assert twin == message
            assert type(twin) is Message

    def test_parts_of_text_are_joined_and_others_are_named(self) -> None:
        parts = [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "…"}},
            {"type": "text", "text": "b"},
        ]
        message = Message(role="user", content=parts)
        assert message.text == "ab"
        assert message.unread_parts == ("image_url",)

    def test_a_call_without_content_has_no_text(self) -> None:
        message = Message(role="assistant", content=None, tool_calls=[{"id": "call_1"}])
        assert message.text == ""
        assert message.tool_calls == [{"id": "call_1"}]


class TestAsMessages:
    def test_takes_dicts_messages_strings_and_the_seed_shape(self) -> None:
        assert as_messages("hi") == (Message(role="user", content="hi"),)
        assert as_messages([{"user": "q", "assistant": "a"}]) == as_messages(
            [{"role": "user", "content": "q"}, Message(role="assistant", content="a")]
        )

    def test_takes_objects_of_the_openai_package(self) -> None:
        class Completion:
            def model_dump(self, *, exclude_none: bool) -> dict[str, str]:
                return {"role": "assistant", "content": "4"}

        assert as_messages([Completion()])[0].content == "4"

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ({"role": "user"}, "list of chat messages, found dict"),
            (7, "found int"),
            (b"bytes", r"messages\[0\]"),
            (["text"], r"messages\[0\].*'text'"),
            ([{"content": "no role"}], r"messages\[0\]"),
            ([Message(content="no role")], r"messages\[0\]"),
            ([{"role": "user", "content": "q"}, None], r"messages\[1\]"),
            ([{"role": "assistant", "content": 42}], r"messages\[0\]: content .* found 42"),
            ([{"role": "assistant", "content": ["4"]}], r"messages\[0\]: content"),
            ([{"user": 5}], r"messages\[0\]: content"),
        ],
    )
    def test_says_what_is_wrong_and_where(self, value: Any, found: str) -> None:
        with pytest.raises(InvalidInputError, match=found):
            as_messages(value)

    def test_of_an_empty_list_is_empty(self) -> None:
        assert as_messages([]) == ()
        assert split_chat(()) == ((), "")
