from __future__ import annotations

from rayreward.router.turns import Turns


def anything(item: str) -> bool:
    return True


def drained(turns: Turns[str]) -> list[str]:
    taken = []
    while (item := turns.take(anything)) is not None:
        taken.append(item)
    return taken


def test_a_callers_own_come_in_their_order() -> None:
    turns = Turns[str]()
    for item in "abc":
        turns.add(item, rank=0, caller="one")
    assert drained(turns) == ["a", "b", "c"]
    assert not turns


def test_callers_take_turns_however_much_one_of_them_has() -> None:
    turns = Turns[str]()
    for number in range(4):
        turns.add(f"big{number}", rank=0, caller="big")
    for number in range(2):
        turns.add(f"small{number}", rank=0, caller="small")
    assert drained(turns) == ["big0", "small0", "big1", "small1", "big2", "big3"]


def test_a_training_goes_before_an_evaluation_and_that_before_a_batch() -> None:
    turns = Turns[str]()
    for item, rank in (("batch", 2), ("eval", 1), ("train", 0)):
        turns.add(item, rank=rank, caller="one")
    assert turns.take(anything) == "train"
    turns.add("train again", rank=0, caller="one")
    assert drained(turns) == ["train again", "eval", "batch"]


def test_where_a_callers_first_does_not_fit_the_next_callers_may() -> None:
    turns = Turns[str]()
    turns.add("large", rank=0, caller="one")
    turns.add("s", rank=0, caller="two")
    assert turns.take(lambda item: len(item) < 3) == "s"
    assert turns.take(lambda item: len(item) < 3) is None
    assert turns.take(anything) == "large"


def test_what_waits_no_longer_is_taken_out() -> None:
    turns = Turns[str]()
    turns.add("a", rank=0, caller="one")
    assert turns.remove("a", rank=0, caller="one")
    assert not turns.remove("a", rank=0, caller="one")
    assert not turns.remove("a", rank=1, caller="two")
    assert not turns
    assert turns.take(anything) is None
