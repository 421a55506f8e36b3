"""``rayreward doctor``: what is missing or in conflict here, and how to mend it.

What arrives: the options of the command line. What leaves: a table or a JSON document on stdout, and exit code 1 where
something will not work. What is checked: `rayreward.cli.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer

from rayreward.cli.checks import Finding, examine
from rayreward.cli.output import CHECK_FAILED, OK, data_console, write_json
from rayreward.cli.surroundings import look_around

_STYLES = {"ok": "green", "warn": "yellow", "error": "bold red"}


def run_doctor(*, endpoint: str | None = None, is_json: bool = False) -> int:
    """Examine this machine; returns the exit code."""
    findings = examine(look_around(endpoint))
    has_errors = any(finding.level == "error" for finding in findings)
    if is_json:
        write_json({"ok": not has_errors, "findings": findings})
    else:
        show(findings)
    return CHECK_FAILED if has_errors else OK


def show(findings: Sequence[Finding]) -> None:
    """The findings as a table, and how many there are of each level."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "level", "found", "remedy"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        level = Text(finding.level, style=_STYLES[finding.level])
        table.add_row(Text(finding.check), level, Text(finding.found), Text(finding.remedy or ""))
    data_console().print(table)
    counts = Counter(finding.level for finding in findings)
    typer.echo(f"{counts['error']} errors, {counts['warn']} warnings, {counts['ok']} ok")
