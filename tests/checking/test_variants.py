from __future__ import annotations

from rayreward import Sample
from rayreward.checking.variants import with_label, with_prompt, with_response

CHAT = Sample(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
    ],
    label="4",
    metadata={"query": "2 + 2? 4", "difficulty": 1},
    steps=["two", "four"],
    token_ids=[19],
    group_id="g",
    group_size=1,
)


def test_another_response_leaves_nothing_of_the_old_one() -> None:
    changed = with_response(CHAT, "five")
    assert changed.response == "five"
    assert changed.original_messages == CHAT.original_messages
    assert changed.text == f"{CHAT.prompt}five"
    assert (changed.steps, changed.token_ids) == (("five",), None)
    assert (changed.label, changed.metadata["difficulty"], changed.group_id) == ("4", 1, "g")


def test_label_and_prompt_change_alone() -> None:
    assert with_label(CHAT, None).label is None
    assert with_label(CHAT, None).response == "4"
    assert with_prompt(CHAT, "").prompt == ""
    assert with_prompt(CHAT, "3?").response == "4"
