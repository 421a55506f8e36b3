"""``rayreward verify-model``: does a checkpoint score as its plain forward does?

What arrives: the options of the command line. What leaves: a table or a JSON document on stdout, and exit code 1 where
a check failed. A checkpoint that is refused is an error like any other: exit code 2, with what to do. What is checked:
`rayreward.models.verification`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayreward.cli.output import CHECK_FAILED, OK, data_console, say, stdout_kept_for_data, write_json
from rayreward.models.settings import ModelSettings

if TYPE_CHECKING:
    from rich.console import Console

    from rayreward.models.verification import ModelReport

_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red", "skipped": "dim"}


def run_verify_model(settings: ModelSettings, *, budget_tokens: int, is_json: bool, is_quiet: bool) -> int:
    """Verify the model; returns the exit code.

    Raises:
        RewardLoadError: the checkpoint is refused.
        ConfigError: options that cannot be.
        MissingExtraError: a library is not installed.
    """
    from rayreward.models.verification import verify_model

    with stdout_kept_for_data():
        report = verify_model(settings, budget_tokens=budget_tokens, tell=_say_nothing if is_quiet else say)
    if is_json:
        write_json(report)
    else:
        show_report(report, data_console())
    return OK if report.ok else CHECK_FAILED


def show_report(report: ModelReport, console: Console) -> None:
    """Print it."""
    from rich.table import Table
    from rich.text import Text

    console.print(
        Text(
            f"{report.model}: {report.backend} in {report.dtype} beside the plain forward in {report.plain_dtype}, "
            f"{report.units} units, scores with a standard deviation of {report.std:.4g}\n"
        )
    )
    table = Table("check", "verdict", "found")
    for check in report.checks:
        table.add_row(Text(check.name), Text(check.level, style=_STYLES[check.level]), Text(check.found))
    console.print(table)
    rows = Table("unit", "tokens", "backend", "plain", "difference")
    for row in report.worst:
        numbers = (row.backend, row.plain, row.difference)
        shown = [row.failure or "", "", ""] if row.failure else ["" if one is None else f"{one:.6g}" for one in numbers]
        rows.add_row(Text(row.name), str(row.tokens), *map(Text, shown))
    console.print("\nfurthest from the plain forward:")
    console.print(rows)
    wrong = ", ".join(check.name for check in report.checks if check.level == "wrong")
    verdict = f"{report.model}: {'wrong: ' + wrong if wrong else 'scores as the plain forward does'}"
    console.print(Text(f"\n{verdict}", style="green" if report.ok else "bold red"))


def _say_nothing(_line: str) -> None:
    """With ``--quiet``."""
