from __future__ import annotations

import pytest

from rayreward.languages.prose import prose_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n```python\nb\n```\nc", "a c"),
        ("a\n~~~\nb\n```\n~~~\nc", "a c"),
        ("a\n```\nb", "a"),
        ("a `b` c", "a c"),
        ("a $b$ c $$d\ne$$ f \\(g\\) h \\[i\\]", "a c f h"),
        ("costs $5 and $10", "costs $5 and $10"),
        ("a \\[ b", "a \\[ b"),
        ("see https://a.b/c?d or www.a.b or me@a.b now", "see or or now"),
        ("<think>a</think> b <br/> 3 < 4", "a b 3 < 4"),
        ("\\boxed 4", "4"),
    ],
)
def test_code_and_formulas_are_no_prose(text: str, words: str) -> None:
    assert " ".join(prose_of(text).split()) == words
