from __future__ import annotations

import pytest

from rayreward.router.batching import BatchLimits, BatchQueue


def taken(limits: BatchLimits, *sizes: int) -> list[list[int]]:
    """The batches that items of these sizes, in bytes and in tokens, travel in; each item is its own position."""
    queue = BatchQueue[int](limits)
    for position, size in enumerate(sizes):
        queue.add([position], size_bytes=size, tokens=size)
    assert queue.waiting == (len(sizes), sum(sizes), sum(sizes))
    batches = []
    while batch := queue.take():
        batches.append(batch)
    assert len(queue) == 0
    assert queue.waiting == (0, 0, 0)
    return batches


@pytest.mark.parametrize(
    ("limits", "sizes", "batches"),
    [
        (BatchLimits(), [], []),
        (BatchLimits(), [1, 1, 1], [[0, 1, 2]]),
        (BatchLimits(max_samples=2), [1, 1, 1], [[0, 1], [2]]),
        (BatchLimits(max_bytes=10), [4, 4, 4], [[0, 1], [2]]),
        (BatchLimits(max_bytes=10), [4, 6, 1], [[0, 1], [2]]),
        (BatchLimits(max_bytes=10), [100, 1, 100], [[0], [1], [2]]),
        (BatchLimits(max_samples=1), [1, 1], [[0], [1]]),
        (BatchLimits(max_tokens=10), [4, 4, 4], [[0, 1], [2]]),
        (BatchLimits(max_tokens=10), [100, 1, 9, 1], [[0], [1, 2], [3]]),
        (BatchLimits(max_tokens=10, max_bytes=3), [1, 2, 3], [[0, 1], [2]]),
    ],
)
def test_first_come_first_served_within_the_limits(
    limits: BatchLimits, sizes: list[int], batches: list[list[int]]
) -> None:
    assert taken(limits, *sizes) == batches


def test_what_came_meanwhile_travels_with_the_next() -> None:
    queue = BatchQueue[str](BatchLimits(max_samples=2))
    for item in "abc":
        queue.add([item], size_bytes=1)
    assert queue.take() == ["a", "b"]
    queue.add(["d"], size_bytes=1)
    assert (len(queue), queue.take(), queue.take()) == (2, ["c", "d"], [])


def test_what_belongs_together_is_never_split() -> None:
    queue = BatchQueue[str](BatchLimits(max_samples=3))
    for items in (["a", "b"], ["c", "d"], ["e", "f", "g", "h"], ["i"]):
        queue.add(items, size_bytes=1)
    assert [queue.take() for _ in range(4)] == [["a", "b"], ["c", "d"], ["e", "f", "g", "h"], ["i"]]
    assert len(queue) == 0


def test_the_most_urgent_fill_a_batch_first_and_callers_share_it() -> None:
    queue = BatchQueue[str](BatchLimits(max_samples=4))
    for number in range(3):
        queue.add([f"batch{number}"], size_bytes=1, rank=2, caller="job")
        queue.add([f"a{number}"], size_bytes=1, caller="a")
    queue.add(["b0"], size_bytes=1, caller="b")
    assert queue.take() == ["a0", "b0", "a1", "a2"]
    assert queue.take() == ["batch0", "batch1", "batch2"]
    assert len(queue) == 0


def test_a_group_over_the_limit_of_tokens_travels_alone() -> None:
    queue = BatchQueue[str](BatchLimits(max_tokens=4))
    for items in (["a"], ["b", "c"], ["d"]):
        queue.add(items, size_bytes=1, tokens=3 * len(items))
    assert [queue.take() for _ in range(3)] == [["a"], ["b", "c"], ["d"]]


def with_siblings(queue: BatchQueue[str], *names: str, caller: str = "") -> None:
    """Each is called after its prompt, and has ten tokens."""
    queue.extend_siblings(
        [((name,), 1, 10) for name in names], [name[0] for name in names], item_count=len(names), caller=caller
    )


def test_siblings_that_come_apart_travel_together() -> None:
    queue = BatchQueue[str](BatchLimits(max_tokens=40))
    with_siblings(queue, "a1", "b1", "c1")
    with_siblings(queue, "c2", "b2", "a2", "d1")
    assert [queue.take(), queue.take(), queue.take()] == [["a1", "a2", "b1", "b2"], ["c1", "c2", "d1"], []]
    assert queue.waiting == (0, 0, 0)


def test_siblings_are_parted_only_where_one_batch_cannot_hold_them() -> None:
    queue = BatchQueue[str](BatchLimits(max_tokens=30))
    with_siblings(queue, "a1", "b1", "b2", "b3")
    assert [queue.take(), queue.take()] == [["a1"], ["b1", "b2", "b3"]]
    with_siblings(queue, "a1", "b1", "b2", "b3", "b4")
    assert [queue.take(), queue.take(), queue.take()] == [["a1", "b1", "b2"], ["b3", "b4"], []]


def test_a_sibling_of_what_has_left_waits_anew() -> None:
    queue = BatchQueue[str](BatchLimits(max_tokens=20))
    with_siblings(queue, "a1", "b1")
    assert queue.take() == ["a1", "b1"]
    with_siblings(queue, "c1", "a2")
    assert queue.take() == ["c1", "a2"]


def test_callers_take_turns_with_their_siblings() -> None:
    queue = BatchQueue[str](BatchLimits(max_tokens=20))
    with_siblings(queue, "a1", "a2", "a3", "a4", "b1", caller="one")
    with_siblings(queue, "c1", "c2", caller="other")
    assert [queue.take() for _ in range(4)] == [["a1", "a2"], ["c1", "c2"], ["a3", "a4"], ["b1"]]
