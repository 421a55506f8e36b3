from __future__ import annotations

import asyncio
import os
from pathlib import Path

GONE_WITHIN_S = 20.0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False


async def is_gone(pid: int) -> bool:
    """Whether a killed process disappears, which takes the kernel a moment."""
    for _ in range(int(GONE_WITHIN_S / 0.01)):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def children() -> set[int]:
    """The worker processes of this one that are running."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found
