from __future__ import annotations

from contextlib import ExitStack

import pytest

from rayreward.router.least_busy import LeastBusy


def test_calls_are_spread_evenly_and_a_free_replica_is_next() -> None:
    running = [f"r{number}" for number in range(8)]
    calls, at_work = LeastBusy(lambda: running), {one: ExitStack() for one in running}

    def send() -> str:
        with ExitStack() as stack:
            replica = stack.enter_context(calls.one_more())
            assert replica is not None
            at_work[replica].push(stack.pop_all())
        return replica

    assert [send() for _ in range(16)] == running * 2
    at_work["r5"].close()
    assert send() == "r5"
    assert send() == "r5"
    assert send() == "r0"


def test_one_after_the_other_each_has_its_turn() -> None:
    calls, chosen = LeastBusy(lambda: ["a", "b", "c"]), []
    for _ in range(6):
        with calls.one_more() as replica:
            chosen.append(replica)
    assert chosen == ["a", "b", "c"] * 2


def test_calls_that_name_their_replica_count_as_its_own() -> None:
    calls = LeastBusy(lambda: ["a", "b"])
    with calls.one_more("a") as named, calls.one_more() as second, calls.one_more() as third:
        assert (named, second) == ("a", "b")
        assert third == "a", "both have one call, and the other has had its turn later"


def test_a_call_that_fails_is_over() -> None:
    calls = LeastBusy(lambda: ["a", "b"])
    with pytest.raises(ValueError, match="lost"), calls.one_more():
        raise ValueError("lost")
    with calls.one_more() as first, calls.one_more() as second:
        assert {first, second} == {"a", "b"}


def test_nobody_is_chosen_where_nobody_is_known_to_run_nor_whoever_is_gone() -> None:
    running: list[str] = []
    calls = LeastBusy(lambda: running)
    with calls.one_more() as nobody:
        assert nobody is None
    for generation in range(10):
        running[:] = [f"{generation}a", f"{generation}b"]
        with calls.one_more() as first, calls.one_more() as second:
            assert [first, second] == running
