from __future__ import annotations

import pytest

from rayreward.thinking import opens_thinking, split_thinking


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


@pytest.mark.parametrize(
    ("prompt", "is_open"),
    [
        ("2 + 2?<think>", True),
        ("2 + 2?<think>\n \n", True),
        ("<think></think>", False),
        ("<think>2", False),
        ("", False),
    ],
)
def test_a_template_may_open_the_thinking(prompt: str, is_open: bool) -> None:
    assert opens_thinking(prompt) is is_open
