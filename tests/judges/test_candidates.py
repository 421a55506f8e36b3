from __future__ import annotations

import itertools
from typing import Any

from rayreward import Sample
from rayreward.judges.candidates import read_candidates

USER = {"role": "user", "content": "Go."}


def answer(text: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def test_the_order_of_the_texts_is_their_own() -> None:
    texts = ["a", "b", "c", "d"]
    orders = {read_candidates([Sample(prompt="p", response=text) for text in order]).texts
              for order in itertools.permutations(texts)}  # fmt: skip
    assert len(orders) == 1
    others = {read_candidates([Sample(prompt=str(n), response=text) for text in texts]).texts for n in range(8)}
    assert len(others) > 1, "another prompt has another order: no response has a place of its own"


def test_what_all_begin_with_is_shared_and_the_rest_is_theirs() -> None:
    search = answer("", tool_calls=[{"function": {"name": "search"}}])
    found = read_candidates([Sample([USER, search, answer("x")]), Sample([USER, search, answer("y")])])
    assert found.shared.startswith("user: Go.\n\nassistant: \ntool calls: [{")
    assert sorted(found.texts) == ["x", "y"]


def test_the_last_message_is_never_shared() -> None:
    found = read_candidates([Sample([USER, answer("x")]), Sample([USER, answer("x")])])
    assert (found.shared, found.texts, found.copies) == ("user: Go.", ("x",), [2])
    short = read_candidates([Sample([USER, answer("x")]), Sample([USER, answer("x"), USER, answer("y")])])
    assert sorted(short.texts) == ["assistant: x\n\nuser: Go.\n\nassistant: y", "x"]


def test_without_a_prompt_nothing_is_shared() -> None:
    assert read_candidates([Sample(response="a"), Sample(response="b")]).shared == ""


def test_who_cannot_be_read_is_left_out() -> None:
    picture = [USER, {"role": "assistant", "content": [{"type": "image_url"}]}]
    found = read_candidates([Sample(picture), Sample([USER, answer("x")])])
    assert (found.texts, found.members, list(found.unreadable)) == (("x",), ((1,),), [0])
    nobody = read_candidates([Sample(picture)])
    assert (nobody.shared, nobody.texts) == ("", ())
