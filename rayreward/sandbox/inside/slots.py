"""Slots: what a program needs and the next one can use again: a private folder, a uid, a Landlock ruleset.

What arrives: a program begins, a program has ended and no process of it is left. What leaves: a slot whose folder is
empty. Making one costs as much as a program, so they are made when they are first needed and kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from rayreward.sandbox.inside import folders, landlock, namespaces

SLOT_COUNT = 256
"""Programs at a time."""

FIRST_UID = 61184
"""Of `SLOT_COUNT` uids, where this process may give them: systemd makes up users that own nothing from the same."""

_FIRST_FOLDER_BYTES = 64 << 20


@dataclass
class Slot:
    """What is made once and used by one program after the other.

    Attributes:
        uid: None where the zygote's is kept.
        ruleset: Landlock's, -1 where there is none.
        folder_bytes: what its file system holds; 0 where it has none of its own.
    """

    path: str
    uid: int | None
    ruleset: int
    folder_bytes: int = 0


class Slots:
    """All of a zygote's.

    Args:
        home: the folder that theirs are in.
        read: what programs may read and execute.
        landlock_version: 0 where there is none.
        gives_uids: whether each has a uid of its own.
        mounts: whether each has a file system of its own; its mount point is there already.
    """

    def __init__(self, home: str, read: list[str], *, landlock_version: int, gives_uids: bool, mounts: bool) -> None:
        self._home, self._read, self._landlock = home, read, landlock_version
        self._gives_uids, self._mounts = gives_uids, mounts
        self._count = 0
        self._free: list[Slot] = []
        self._free.append(self._make())

    def take(self, folder_bytes: int) -> Slot:
        """A slot that nobody uses.

        Raises:
            OSError: there are no more.
        """
        slot = self._free.pop() if self._free else self._make()
        if slot.folder_bytes and slot.folder_bytes != folder_bytes:
            namespaces.resize_slot(slot.path, folder_bytes)
            slot.folder_bytes = folder_bytes
        return slot

    def give_back(self, slot: Slot) -> None:
        """Empty it for the next; all processes that could write to it are gone."""
        try:
            if os.stat(slot.path).st_mode & 0o7777 != 0o700:
                os.chmod(slot.path, 0o700)
            folders.empty(slot.path)
        except OSError:
            return  # never met; what cannot be emptied is not used again, and goes when the sandbox does
        self._free.append(slot)

    def remove(self) -> None:
        """Remove the folders of all, and the one that they are in: whoever made it may have been killed."""
        if self._mounts:
            return  # they end with their namespace
        folders.empty(self._home)
        os.rmdir(self._home)

    def _make(self) -> Slot:
        if self._count == SLOT_COUNT:
            raise OSError(f"{SLOT_COUNT} programs run already")
        index, path = self._count, f"{self._home}/{self._count}"
        slot = Slot(path, FIRST_UID + index if self._gives_uids else None, -1)
        if self._mounts:
            slot.folder_bytes = _FIRST_FOLDER_BYTES
            namespaces.mount_slot(path, slot.folder_bytes)
        else:
            os.mkdir(path, 0o700)
        if slot.uid is not None:
            os.chown(path, slot.uid, slot.uid)
        if self._landlock:
            slot.ruleset = landlock.make_ruleset(self._landlock, read=self._read, own=path)
        self._count += 1
        return slot
