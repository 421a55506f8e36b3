"""Which samples belong to one prompt, found without being told.

What arrives: executions as they begin and end. What leaves: for each, its group: an id that no other group has, and
its size. OpenRLHF tells an execution neither. But it starts the n executions of a prompt together, with the very same
prompt object, and all have begun before any of them goes on: so those that hold one object at the same time are a
group, and after one turn of the event loop their number is its size.

It promises: the same text in two calls makes two groups, and an object's identity is not taken over by a later one,
because an open group keeps its prompt alive. No tasks, no clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Group:
    """The samples of one prompt in one call.

    Attributes:
        id: begins with the prompt's hash, so that samples of one prompt are seen to be.
        size: how many they are; final once the group is sealed.
    """

    id: str
    prompt: str
    size: int = 0
    open_count: int = 0
    is_sealed: bool = False


class Groups:
    """The groups that are open in one process.

    Args:
        name: tells this process's groups from another's, which may hold the same prompts.

    Example:
        >>> groups, prompt = Groups("a"), "2 + 2?"
        >>> first, second = groups.join(prompt), groups.join(prompt)
        >>> first is second, first.size
        (True, 2)
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name or secrets.token_hex(4)
        self._numbers = itertools.count()
        self._open: dict[int, Group] = {}

    def __len__(self) -> int:
        return len(self._open)

    def join(self, prompt: str) -> Group:
        """The group of an execution that begins."""
        group = self._open.get(id(prompt))
        if group is None or group.is_sealed:  # sealed: a short text that Python shares between two calls
            digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            group = self._open[id(prompt)] = Group(f"{digest}-{self._name}-{next(self._numbers)}", prompt)
        group.size += 1
        group.open_count += 1
        return group

    def seal(self, group: Group) -> None:
        """All of the group have begun; its size is final."""
        group.is_sealed = True

    def leave(self, group: Group) -> None:
        """An execution has ended."""
        group.open_count -= 1
        if not group.open_count and self._open.get(id(group.prompt)) is group:
            del self._open[id(group.prompt)]


@asynccontextmanager
async def member_of(groups: Groups, prompt: str) -> AsyncIterator[Group]:
    """The group of the execution that this surrounds, its size known. Nothing may be awaited before it."""
    group = groups.join(prompt)
    try:
        await asyncio.sleep(0)  # the others, which were started together with this one, begin
        groups.seal(group)
        yield group
    finally:
        groups.leave(group)
