from __future__ import annotations

from typing import Any

import pytest

from rayreward.agents.chat import as_message
from rayreward.errors import InvalidOutputError
from tests.agents.fakes import END, END_ID, Letters

USER = "\n<|im_start|>user\nhm?" + END + "\n"


@pytest.mark.parametrize(
    ("action_ids", "is_last", "written"),
    [
        ([65, END_ID], False, f"{USER}<|im_start|>assistant\n"),
        ([65], False, f"{END}{USER}<|im_start|>assistant\n"),
        ([65, END_ID], True, USER),
        ([], True, f"{END}{USER}"),
        ([ord("<")], True, f"{END}{USER}"),  # a letter that the end token begins with
    ],
)
def test_the_template_s_text_between_an_action_and_the_next(action_ids: list[int], is_last: bool, written: str) -> None:
    assert as_message(Letters(), "hm?", "user", action_ids=action_ids, is_last=is_last) == written


def test_a_template_that_forgets_earlier_answers_cannot_be_used() -> None:
    class Forgetful(Letters):
        def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
            return messages[-1]["content"]

    with pytest.raises(InvalidOutputError, match="leaves out"):
        as_message(Forgetful(), "hm?", "user", action_ids=[], is_last=True)
