"""Samples of a prompt wait for one another, wherever they come from.

What arrives: members, each with its group's key and size. What leaves: a whole group as soon as its last member has
come; or, when its time is over, those that have come, who are then not whole. Members that leave are left out.

Pure: whoever holds it keeps the time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class OpenGroup(Generic[T]):
    """A group of which members are missing."""

    key: Hashable
    size: int
    members: list[T] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether all have come."""
        return len(self.members) >= self.size


class GroupBarrier(Generic[T]):
    """The groups that wait.

    Example:
        >>> barrier = GroupBarrier[str]()
        >>> [barrier.join("prompt", 2, member).is_whole for member in ("first", "second", "of the next")]
        [False, True, False]
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, OpenGroup[T]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def is_open(self, key: Hashable) -> bool:
        """Whether some of the group have come already."""
        return key in self._open

    def join(self, key: Hashable, size: int, member: T) -> OpenGroup[T]:
        """Add a member; a group that is whole by it is open no longer, and the next member begins another."""
        group = self._open.get(key)
        if group is None:
            group = self._open[key] = OpenGroup(key, size)
        group.members.append(member)
        if group.is_whole:
            del self._open[key]
        return group

    def close(self, group: OpenGroup[T]) -> list[T]:
        """The group's time is over: who has come; nobody where it is whole, or closed already."""
        if self._open.get(group.key) is not group:
            return []
        del self._open[group.key]
        return group.members

    def leave(self, group: OpenGroup[T], member: T) -> None:
        """A member's caller went away; one that is under way with its group stays."""
        if self._open.get(group.key) is group and member in group.members:
            group.members.remove(member)
            if not group.members:
                del self._open[group.key]
