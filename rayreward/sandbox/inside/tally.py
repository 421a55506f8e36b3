"""What programs take of the machine that no rlimit bounds: processes, threads and memory of all their processes.

What arrives: the process groups to count. What leaves: a count for each, read from /proc; nothing where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Tally(NamedTuple):
    """Of one group, now."""

    process_count: int = 0
    thread_count: int = 0
    memory_bytes: int = 0


def count(groups: Collection[int], *, leaders_only: bool) -> dict[int, Tally]:
    """A tally for each group; `leaders_only` where no group has more than one process, which is cheaper to find."""
    found = dict.fromkeys(groups, Tally())
    for pid in groups if leaders_only else _processes():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except OSError:
            continue
        group = int(fields[2])
        if group in found:
            before = found[group]
            found[group] = Tally(
                before.process_count + 1,
                before.thread_count + int(fields[17]),
                before.memory_bytes + int(fields[21]) * _PAGE_BYTES,
            )
    return found


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []
