"""A report for a person.

What arrives: a report. What leaves, on a rich console: a line a probe, the hostile inputs that are worth a look, and
what every trick earns.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rayreward.checking.report import Hack, HostileCase, Level, Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "wrong": "bold red", "skipped": "dim"}
_WIDTH = 120


def show_report(report: Report, console: Console) -> None:
    """Print it."""
    from rich.text import Text

    title = f"{report.reward} (version {report.version}), {report.samples} samples of {report.source}"
    what = " (it has no responses: its labels serve as such)" if report.responses == "labels" else ""
    console.print(Text(f"{title}{what}\n"))
    table = _table("check", "verdict", "found")
    for finding in report.findings:
        found = Text(finding.found)
        if finding.remedy is not None:
            found.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(Text(finding.check), _level(finding.level), found)
    console.print(table)
    _show_hostile([case for case in report.hostile if case.level in ("wrong", "note")], console)
    _show_hacks(report.hacks, report.real_mean, console)
    console.print(Text(f"\n{verdict(report)}", style="green" if report.ok else "bold red"))


def render_report(report: Report) -> str:
    """The same as text without colours."""
    from rich.console import Console

    text = io.StringIO()
    show_report(report, Console(file=text, width=_WIDTH, highlight=False))
    return text.getvalue()


def verdict(report: Report) -> str:
    """One line.

    Example:
        >>> verdict(Report(ok=True, reward="mine", version="1", samples=2, source="data.jsonl", findings=[]))
        'mine: nothing is wrong'
    """
    wrong = [finding.check for finding in report.findings if finding.level == "wrong"]
    return f"{report.reward}: {'wrong: ' + ', '.join(wrong) if wrong else 'nothing is wrong'}"


def _show_hostile(cases: Iterable[HostileCase], console: Console) -> None:
    from rich.text import Text

    table = _table("hostile input", "verdict", "what the reward does")
    for case in cases:
        table.add_row(Text(case.name), _level(case.level), Text(case.found))
    if table.row_count:
        console.print("\n", table, sep="")


def _show_hacks(hacks: Iterable[Hack], real_mean: float | None, console: Console) -> None:
    from rich.text import Text

    table = _table("cheap answer", "verdict", "earns", "of real", "for example")
    if real_mean is not None:
        table.add_row(Text("the real responses"), Text(""), Text(f"{real_mean:.3f}"), Text("100 %"), Text(""))
    for hack in hacks:
        earns = "-" if hack.mean is None else f"{hack.mean:.3f}"
        share = "" if hack.share is None else f"{hack.share * 100:.0f} %"
        missing = hack.samples - hack.scored
        lost = f"({missing} of {hack.samples} without a score) " if hack.mean is not None and missing else ""
        words = Text(hack.found or f"{lost}{hack.example or '(nothing)'}")
        table.add_row(Text(hack.name), _level(hack.level), Text(earns), Text(share), words)
    if table.row_count > 1:
        console.print("\n", table, sep="")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in ("earns", "of real")
        table.add_column(column, overflow="fold", justify="right" if is_number else "left")
    return table


def _level(level: Level) -> Text:
    from rich.text import Text

    return Text(level, style=_STYLES[level])
