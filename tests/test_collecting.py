from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator

import pytest

from rayreward import HttpClient
from rayreward.collecting import BURST_OBJECTS, collect_seldom


class Owner:
    """Something that lives for a while."""


@pytest.fixture(autouse=True)
def _usual_threshold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gc.collect()  # clients of other tests end before and not within: each takes one from the count
    monkeypatch.setattr("rayreward.collecting._owner_count", 0)  # those that still live
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_looks_seldom_until_the_last_owner_is_gone() -> None:
    first, second = Owner(), Owner()
    collect_seldom(first)
    collect_seldom(second)
    del first
    assert gc.get_threshold() == (BURST_OBJECTS, 10, 10)
    del second
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [0, 2 * BURST_OBJECTS])
def test_who_has_chosen_less_of_it_keeps_that(chosen: int) -> None:
    gc.set_threshold(chosen, 5, 5)
    owner = Owner()
    collect_seldom(owner)
    assert gc.get_threshold() == (chosen, 5, 5)
    del owner
    assert gc.get_threshold() == (chosen, 5, 5)


def test_what_somebody_sets_meanwhile_stays() -> None:
    owner = Owner()
    collect_seldom(owner)
    gc.set_threshold(1_000, 10, 10)
    del owner
    assert gc.get_threshold() == (1_000, 10, 10)


def test_it_looks_seldom_where_a_client_lives_or_one_that_travelled_here() -> None:
    client = HttpClient()
    travelled = pickle.loads(pickle.dumps(client))
    del client
    assert gc.get_threshold() == (BURST_OBJECTS, 10, 10)
    del travelled
    assert gc.get_threshold() == (700, 10, 10)
