from __future__ import annotations

import pytest

from rayreward.thinking import split_thinking


@pytest.mark.parametrize(
    ("response", "thinking", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("a</think>b", "a", "b"),
        ("b", None, "b"),
        ("<think>a", "a", ""),
        ("So: <think>a</think> b", "a", " b"),
        ("<think>a</think>b</think>c", "a", "c"),
        ("", None, ""),
    ],
)
def test_thinking_and_answer(response: str, thinking: str | None, answer: str) -> None:
    assert split_thinking(response) == (thinking, answer)
