"""The frames of `rayreward.forking`, read on an event loop."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from rayreward.forking.frames import HEADER


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """The next value.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
    """
    (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
    return pickle.loads(await reader.readexactly(size))
