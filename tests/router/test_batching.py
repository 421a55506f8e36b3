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
