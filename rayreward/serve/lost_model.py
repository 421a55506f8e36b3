"""A replica whose model is lost ends itself, as if it had been killed.

What arrives: whether the model is lost: its device has failed, or its engine has died. What leaves: an error that says
so to the calls that are under way, and then the process, with everything it has started; the calls are made again
elsewhere.

A lost model never comes back in its process, and answers at once. Whoever looks for the least busy replica would find
it first, and until Serve has counted three bad health checks nearly every sample would come back unscored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable

import psutil

from rayreward.errors import ServiceUnavailableError

_log = logging.getLogger(__name__)

_LAST_ANSWERS_S = 0.5
"""Until the process ends: for what it still says to leave it."""


class ModelLostError(ServiceUnavailableError):
    """The replica's model was lost during the call."""


def end_process() -> None:
    """End this process at once and whatever it has started: an engine's processes would keep the device."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)


class LostModel:
    """Whether this replica's model is lost.

    Args:
        name: the reward's.
        end: ends the process.
    """

    def __init__(self, name: str, *, end: Callable[[], None] = end_process) -> None:
        self._name, self._end = name, end
        self._is_ending = False

    async def hold_if_ending(self) -> None:
        """A call that comes now never returns: it is lost with the process."""
        if self._is_ending:
            await asyncio.Event().wait()

    def check(self, lost: str | None) -> None:
        """Go on where the model is there.

        Args:
            lost: why it is not.

        Raises:
            ModelLostError: it is lost, and this process is about to end.
        """
        if lost is None:
            return
        if not self._is_ending:
            self._is_ending = True
            _log.error("reward %s: this replica ends, for another to take its place: %s", self._name, lost)
            asyncio.get_running_loop().call_later(_LAST_ANSWERS_S, self._end)
        raise ModelLostError(f"reward {self._name!r}: {lost}")
