from __future__ import annotations

import pytest

from rayreward.programs.extraction import Block, extract_program, markdown_blocks

PYTHON = frozenset({"python", "py"})


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("x = 1", "x = 1"),
        ("```python\na\n```", "a\n"),
        ("```python\na\n```\nor\n```python\nb\n```", "b\n"),
        ("```python\na\n```\nprints\n```\n1\n```", "a\n"),
        ("```python\na\n```\nprints\n```text\n1\n```", "a\n"),
        ("```\na\n```", "a\n"),
        ("```Python title=x\na\n```", "a\n"),
        ("```{.python}\na\n```", "a\n"),
        ("~~~py\na\n~~~", "a\n"),
        ("````python\n```\na\n```\n````", "```\na\n```\n"),
        ("- so:\n  ```python\n  if a:\n      b\n  ```", "if a:\n    b\n"),
        ("```python\ncut off", "cut off"),
        ("```python\r\na\r\n```", "a\r\n"),
        ("use ```x``` here", "use ```x``` here"),
        ("```cpp\nint main() {}\n```", None),
        ("", None),
        (" \n", None),
    ],
)
def test_the_program_is_the_last_block_of_the_language(response: str, program: str | None) -> None:
    assert extract_program(response, PYTHON) == program


def test_other_choices() -> None:
    response = "```py\na\n```\n```py\nb\n```"
    assert extract_program(response, PYTHON, choice="first") == "a\n"
    assert extract_program(response, PYTHON, choice="all") == "a\n\nb\n"
    assert extract_program(response, PYTHON, choice="whole") == response


def test_blocks_come_in_order_with_their_tags() -> None:
    assert list(markdown_blocks("```a\n1\n```\n~~~\n2\n```\n~~~")) == [Block("a", "1\n"), Block("", "2\n```\n")]


@pytest.mark.parametrize("unit", ["`", "```\n", "~~~a\n", " ", "```python\n", "</think>", "\n", "\x00", "\ud800"])
def test_a_hostile_megabyte_is_read_once(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    found = extract_program(text, PYTHON)
    assert found is None or len(found) <= len(text)


def test_a_fence_of_markdown_around_the_answer_is_looked_into() -> None:
    text = "```markdown\nSo:\n```python\nx = 1\n```\n```\n"
    assert extract_program(text, frozenset({"python"})) == "x = 1\n"
