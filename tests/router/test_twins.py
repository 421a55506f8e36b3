from __future__ import annotations

from rayreward.router.cache import Key
from rayreward.router.twins import Asker, Flight, Twins
from rayreward.types import RewardOutput

KEY: Key = ("v", b"sample")
SCORE = RewardOutput(0.5)


def leading(twins: Twins, rank: int = 0) -> Flight:
    flight = twins.join(KEY, Asker([None]), 0, rank=rank)
    assert flight is not None
    return flight


def waiting(twins: Twins, rank: int = 0) -> Asker:
    asker = Asker([None])
    assert twins.join(KEY, asker, 0, rank=rank) is None
    return asker


def test_the_first_leads_and_the_others_get_its_output() -> None:
    twins = Twins()
    flight = leading(twins)
    askers = [waiting(twins), waiting(twins)]
    twins.land(flight, SCORE)
    assert [asker.outputs for asker in askers] == [[SCORE], [SCORE]]
    assert len(twins) == 0


def test_an_asker_is_told_once_when_all_its_positions_are_settled() -> None:
    twins, told = Twins(), list[str]()
    asker = Asker([None, None], on_done=lambda: told.append("done"))
    flights = [twins.join((version, b"s"), Asker([None]), 0, rank=0) for version in ("v1", "v2")]
    for position, version in enumerate(("v1", "v2")):
        twins.join((version, b"s"), asker, position, rank=0)
    for flight in flights:
        assert told == []
        assert flight is not None
        twins.land(flight, SCORE)
    assert told == ["done"]


def test_when_the_leader_leaves_those_who_joined_ask_again() -> None:
    twins = Twins()
    flight, asker = leading(twins), waiting(twins)
    twins.abandon(flight)
    assert (asker.left, asker.missing, asker.outputs) == ([0], 0, [None])
    assert leading(twins) is not flight


def test_an_urgent_twin_does_not_wait_in_a_slower_queue_and_the_first_answer_serves_all() -> None:
    twins = Twins()
    slow = leading(twins, rank=2)
    patient = waiting(twins, rank=2)
    urgent = twins.join(KEY, Asker([None]), 0, rank=0)
    assert urgent is slow
    assert waiting(twins, rank=0).missing == 1, "the next urgent one has an urgent leader"
    twins.abandon(slow)
    assert patient.missing == 1, "one leader is left"
    twins.land(slow, SCORE)
    assert patient.outputs == [SCORE]


def test_a_late_output_of_a_flight_that_is_over_touches_nobody() -> None:
    twins = Twins()
    first = leading(twins)
    twins.abandon(first)
    second, asker = leading(twins), waiting(twins)
    twins.land(first, RewardOutput(9.0))
    assert asker.missing == 1
    twins.land(second, SCORE)
    assert asker.outputs == [SCORE]
