from __future__ import annotations

import asyncio

from rayreward.agents.groups import Group
from rayreward.agents.siblings import Siblings


async def test_who_failed_waits_for_the_others_and_gets_their_mean() -> None:
    siblings, group = Siblings(60.0), Group("g", "p", size=3)
    failed = asyncio.create_task(siblings.mean_without(group))
    await asyncio.sleep(0)
    siblings.note(group, 1.0)
    assert not failed.done()
    siblings.note(group, 0.0)
    assert await failed == 0.5
    assert len(siblings) == 0


async def test_nobody_is_waited_for_longer_than_the_bound() -> None:
    siblings, group = Siblings(0.01), Group("g", "p", size=3)
    siblings.note(group, 1.0)
    assert await siblings.mean_without(group) == 1.0


async def test_where_all_failed_what_was_seen_lately_speaks() -> None:
    siblings = Siblings(60.0)
    assert await siblings.mean_without(Group("a", "p", size=1)) is None
    siblings.note(Group("b", "p", size=1), 0.25)
    both = Group("c", "p", size=2)
    assert await asyncio.gather(*(siblings.mean_without(both) for _ in range(2))) == [0.25, 0.25]
