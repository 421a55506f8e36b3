"""How far a scoring is, for a person who waits.

What arrives: `Progress` values. What leaves, on stderr: a bar where there is a terminal, else one line every ten
seconds, also while nothing moves; nothing with ``--quiet``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rayreward.cli.output import error_console, say
from rayreward.scoring import Progress

LINE_INTERVAL_S = 10.0
"""Between two lines: often enough to see that it lives, seldom enough for a log file."""


class Reporter(Protocol):
    """Shows progress."""

    def update(self, progress: Progress) -> None:
        """A batch was written."""

    def tick(self) -> None:
        """Some time has passed."""


class QuietReporter:
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""


class LineReporter:
    """One line an interval, for logs.

    Args:
        write: takes a line.
        clock: seconds, monotonic.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write, self._clock = write, clock
        self._started_s = self._written_s = clock()
        self._progress: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Remember it for the next line."""
        self._progress = progress

    def tick(self) -> None:
        """Write a line where one is due."""
        now_s = self._clock()
        if now_s - self._written_s >= LINE_INTERVAL_S:
            self._written_s = now_s
            self._write(describe(self._progress, now_s - self._started_s))


class BarReporter:
    """A bar in the terminal.

    Args:
        show: draws a fraction from 0 to 1 and a text beside it.
        clock: seconds, monotonic.
    """

    def __init__(self, show: Callable[[float, str], None], clock: Callable[[], float]) -> None:
        self._show, self._clock, self._started_s = show, clock, clock()

    def update(self, progress: Progress) -> None:
        """Draw it."""
        self._show(_fraction(progress), describe(progress, self._clock() - self._started_s))

    def tick(self) -> None:
        """Nothing: the bar counts the seconds itself."""


def describe(progress: Progress | None, elapsed_s: float) -> str:
    """One line for a person.

    Example:
        >>> describe(Progress(samples=50, new_samples=50, failed=1, done_bytes=500, total_bytes=1000), 10.0)
        '50 samples (50 %), 1 failed, 5.0 samples/s, about 10 s left'
    """
    if progress is None:
        return f"no batch is finished after {elapsed_s:.0f} s"
    line = f"{progress.samples} samples ({_fraction(progress):.0%})".replace("%", " %")
    rate = progress.new_samples / elapsed_s if elapsed_s > 0 else 0.0
    line += f", {progress.failed} failed, {rate:.1f} samples/s"
    if rate > 0 and progress.done_bytes > 0:
        samples_left = progress.samples * (progress.total_bytes - progress.done_bytes) / progress.done_bytes
        line += f", about {samples_left / rate:.0f} s left"
    return line


def _fraction(progress: Progress) -> float:
    return progress.done_bytes / progress.total_bytes if progress.total_bytes else 1.0


@contextmanager
def shown_progress(*, is_quiet: bool, clock: Callable[[], float]) -> Iterator[Reporter]:
    """The reporter that fits where stderr goes."""
    if is_quiet:
        yield QuietReporter()
    elif not sys.stderr.isatty():
        yield LineReporter(say, clock)
    else:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Bar(*columns, console=error_console(), transient=True) as bar:
            task = bar.add_task("starting the reward", total=1.0)
            yield BarReporter(lambda done, text: bar.update(task, completed=done, description=text), clock)
