"""What a process that scores does when its replica gives the rest of a batch to another."""

from __future__ import annotations

import pickle
import socket
import threading

import pytest

from rayreward import RewardFunction, Sample
from rayreward.forking.frames import encode_frame, receive
from rayreward.workers.child import _score
from rayreward.workers.protocol import Done, Scored, UpTo, Work

WORK = Work(tuple(pickle.dumps(Sample(response="x" * number)) for number in range(4)))


@pytest.fixture(autouse=True)
def _each_sample_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayreward.workers.child._LONG_S", -1.0)  # so the process looks whether it is the last
    monkeypatch.setattr("rayreward.workers.child.limit_memory", lambda _: None)  # it is this process's here


def length(response: str) -> float:
    return float(len(response))


def answers_to(*told: object) -> tuple[list[int], bool]:
    """The positions that are answered where all this has come before the first sample, and whether it says the end."""
    ours, theirs = socket.socketpair()
    with ours:
        for frame in told:
            ours.sendall(encode_frame(frame))
        ours.shutdown(socket.SHUT_WR)

        def score() -> None:
            with theirs:
                _score(theirs, RewardFunction(func=length), 2**33)

        thread = threading.Thread(target=score)
        thread.start()
        positions = []
        while isinstance(frame := receive(ours), Scored):
            positions.append(frame.position)
        thread.join()
    return positions, isinstance(frame, Done)


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_the_sample_that_is_waited_for_is_answered_and_none_behind_it(last: int) -> None:
    """Also where the process had not begun it: it may have been stopped between the one before and this one."""
    assert answers_to(WORK, UpTo(last)) == ([*range(last + 1)], True)


def test_a_replica_that_is_gone_needs_no_more() -> None:
    assert answers_to(WORK) == ([0], True)
