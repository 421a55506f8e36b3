from __future__ import annotations

import pytest

from rayreward.instructions.sentences import count_sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("... !!! ?", 0),
        ("no end", 1),
        ("One. two. three.", 3),
        ("Really?! Yes!", 2),
        ('"Stop!" he said. (It was late.) Then he left.', 4),
        ("It costs $3.50 at example.com today.", 1),
        ("Dr. Smith and Mrs. Jones met at 5 p.m. on Main St. corner.", 1),
        ("It was 5 p.m. The door opened.", 2),
        ("We use tools, e.g. hammers, i.e. things. Fine.", 2),
        ("J. R. R. Tolkien wrote it. I read it.", 2),
        ("1. First item.\n2. Second item.\na. third", 3),
        ("There were 5. Then 6.", 2),
        ("Well... maybe. Well... The end.", 3),
        ("A line\nwithout an end\n\nand another", 1),
        ("**Bold.** Plain.", 2),
        ("今日は。元気\uff01", 2),
        ("वह गया। वह आया।", 2),
    ],
)
def test_counts(text: str, count: int) -> None:
    assert count_sentences(text) == count
