from __future__ import annotations

from rayreward.serve.arrivals import Arrivals
from rayreward.testing import ManualClock


class Peer:
    """A connection whose peer has something to do, or not."""

    def __init__(self, awaited: object | None) -> None:
        self.awaited, self.is_ended = awaited, False

    def end(self, within_s: float) -> None:
        self.is_ended = True


def test_what_stays_awaited_is_ended_and_what_goes_on_is_not() -> None:
    clock = ManualClock()
    stuck, moving, scored = Peer("head"), Peer("head"), Peer(None)
    arrivals = Arrivals(lambda: [stuck, moving, scored], within_s=10.0, now=clock)

    assert arrivals.look() == 0
    clock.advance(9.0)
    moving.awaited = "body"
    assert arrivals.look() == 0
    clock.advance(1.0)
    assert arrivals.look() == 1

    assert (stuck.is_ended, moving.is_ended, scored.is_ended) == (True, False, False)


def test_a_connection_that_was_served_meanwhile_has_its_whole_time_again() -> None:
    clock = ManualClock()
    peer = Peer("head")
    arrivals = Arrivals(lambda: [peer], within_s=10.0, now=clock)
    for awaited in ("head", None, "head"):
        peer.awaited = awaited
        assert arrivals.look() == 0
        clock.advance(9.0)
    assert arrivals.look() == 0
    clock.advance(1.0)
    assert arrivals.look() == 1


def test_connections_that_are_gone_are_forgotten() -> None:
    clock = ManualClock()
    open_now = [Peer("head")]
    arrivals = Arrivals(lambda: open_now, within_s=10.0, now=clock)
    arrivals.look()
    open_now.clear()
    clock.advance(100.0)
    assert (arrivals.look(), arrivals._since_s) == (0, {})
