"""What a command writes, and how it ends.

Data goes to stdout, everything said to a person to stderr, so that ``rayreward … > file`` and ``| jq`` work. Errors are
rendered here and nowhere else: a `RayRewardError` is a message and an exit code, never a traceback; anything else is a
bug and keeps its traceback.

Exit codes: 0 done, 1 a check failed, 2 a mistake in the call or the configuration, 3 the service cannot be reached,
4 no answer in time, 130 interrupted. A followed training's own code is passed through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

from rayreward.errors import (
    DeadlineError,
    InvalidOutputError,
    JobError,
    RayRewardError,
    ServiceUnavailableError,
)

if TYPE_CHECKING:
    from rich.console import Console

OK, CHECK_FAILED, MISTAKE, UNREACHABLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 130

_PIPED_WIDTH = 200
"""Columns of a table that no terminal shows: a pipe has no width, and rich would cut at 80."""

_EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (ServiceUnavailableError, UNREACHABLE),
    (DeadlineError, TIMED_OUT),
    (JobError, CHECK_FAILED),
    (InvalidOutputError, CHECK_FAILED),
    (ValueError, MISTAKE),
    (ImportError, MISTAKE),
    (LookupError, MISTAKE),
    (PermissionError, MISTAKE),
)
"""By the standard type that each error has as its second base; the first that fits counts."""


def exit_code_of(error: RayRewardError) -> int:
    """The exit code that tells a script what kind of error ended the command."""
    return next((code for known, code in _EXIT_CODES if isinstance(error, known)), CHECK_FAILED)


@contextmanager
def errors_rendered() -> Iterator[None]:
    """The boundary: errors of ours end the command with a message and a code."""
    try:
        yield
    except RayRewardError as error:
        say(f"error: {error}", style="red")
        raise typer.Exit(exit_code_of(error)) from None
    except KeyboardInterrupt:
        say("interrupted", style="yellow")
        raise typer.Exit(INTERRUPTED) from None


def error_console() -> Console:
    """Where people are told things."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def data_console() -> Console:
    """Where tables go that are a command's data."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def say(message: str, *, style: str | None = None) -> None:
    """Tell a person, on stderr. The text is shown as it is: square brackets are no markup."""
    error_console().print(message, style=style, markup=False)


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


@contextmanager
def stdout_kept_for_data() -> Iterator[None]:
    """Sends to stderr what code of others prints meanwhile: rewards, the modules they import, their processes."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
