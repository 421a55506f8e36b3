"""When a training without its reward has to end.

What arrives: what the router said of the run, or that it could not be asked, with the time. What leaves: None, or the
reason to stop. It is pure. A training whose reward is gone learns nothing, holds its GPUs, and sooner or later gets
stand-ins for scores: past the bound it is stopped, with the last checkpoint to go on from.
"""

from __future__ import annotations

from rayreward.router.runs import RunStats


class Watch:
    """Looks at one run's reward.

    Args:
        limit_s: how long it may answer nothing; None for ever.

    Example:
        >>> watch = Watch(limit_s=60.0)
        >>> watch.observe(None, "connection refused", now_s=0.0)
        >>> watch.observe(None, "connection refused", now_s=61.0)
        'the reward service has not answered for 61 s (connection refused), and 60 s are allowed'
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._silent_since_s: float | None = None

    def observe(self, stats: RunStats | None, trouble: str = "", *, now_s: float) -> str | None:
        """Why the training should stop now; None where it may go on.

        Args:
            stats: of the run; None where the service could not be asked, for the reason `trouble`.
            trouble: what happened when it was asked.
            now_s: the time, in seconds.
        """
        if stats is not None:
            self._silent_since_s = None
            return self._complain(stats.unavailable_s, "the reward", "no replica")
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        return self._complain(now_s - self._silent_since_s, "the reward service", trouble)

    def _complain(self, silent_s: float, who: str, why: str) -> str | None:
        if self._limit_s is None or silent_s <= self._limit_s:
            return None
        return f"{who} has not answered for {silent_s:.0f} s ({why}), and {self._limit_s:g} s are allowed"
