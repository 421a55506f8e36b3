"""Notices that a reward's process ends again and again.

What arrives: that a process had to be ended or has ended, and that one has answered. What leaves: how long to wait with
the next, and what is to be said of it. It keeps no time: whoever starts processes does.
"""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)

_LOOP_ENDS = 5
"""Ends in a row, without an answer between them, that are no accident any more."""

_FIRST_PAUSE_S = 0.01

_LONGEST_PAUSE_S = 0.2
"""Between two starts. Who waits for a score waits for it too, and every sample still gets its own try: short."""


class CrashLoop:
    """Counts the ends of one worker's processes.

    Args:
        reward: its name, for the log.
    """

    def __init__(self, reward: str) -> None:
        self._reward = reward
        self._ends_in_a_row = 0
        self._last_end = ""

    def ended(self, how: str) -> None:
        """A process has ended, or was killed, before it had answered what it was asked."""
        self._ends_in_a_row += 1
        self._last_end = how
        if self._ends_in_a_row == _LOOP_ENDS:
            _log.error("%s", self.report)

    def answered(self) -> None:
        """A process has given an output: it works."""
        self._ends_in_a_row = 0

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next process."""
        extra = self._ends_in_a_row - _LOOP_ENDS
        return 0.0 if extra < 0 else min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(extra, 10))

    @property
    def report(self) -> str | None:
        """What is wrong, while it is."""
        if self._ends_in_a_row < _LOOP_ENDS:
            return None
        return (
            f"reward {self._reward!r}: its process has ended {self._ends_in_a_row} times in a row without an answer "
            f"between, last so: {self._last_end}"
        )
