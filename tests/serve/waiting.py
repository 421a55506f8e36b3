"""Who waits in `slow_rewards.waits`."""

from __future__ import annotations

import asyncio
from pathlib import Path


async def begun(file: Path) -> list[int]:
    """The processes that have begun to wait for a file, once there is one."""
    while not (text := _lines_beside(file)).endswith("\n"):  # noqa: ASYNC110 - a reward announces nothing
        await asyncio.sleep(0.01)
    return [int(line) for line in text.split()]


def _lines_beside(file: Path) -> str:
    lines = Path(f"{file}.begun")
    return lines.read_text() if lines.exists() else ""
