"""``rayreward check``: is a reward fit for a run?

What arrives: the options of the command line. What leaves: a table or a JSON document on stdout, and exit code 1 where
something is wrong. What is checked: `rayreward.checking`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rayreward.checking.check import CheckOptions
from rayreward.checking.run import check_file, reward_of
from rayreward.checking.table import show_report
from rayreward.cli.output import CHECK_FAILED, OK, data_console, say, stdout_kept_for_data, write_json
from rayreward.cli.score import read_arguments
from rayreward.scoring import Columns


@dataclass(frozen=True)
class CheckCall:
    """The options of ``rayreward check``, as `rayreward.cli.app` documents them."""

    reward: str
    data: Path
    columns: Columns
    options: CheckOptions
    limit: int
    arguments: tuple[str, ...] = ()
    is_json: bool = False
    is_quiet: bool = False


def run_check(call: CheckCall) -> int:
    """Check the reward; returns the exit code.

    Raises:
        ConfigError: data or options that cannot be used.
        RewardLoadError: no such reward here.
    """
    with stdout_kept_for_data():
        reward = reward_of(call.reward, read_arguments(call.arguments))
        tell = _say_nothing if call.is_quiet else say
        report = check_file(reward, call.data, call.options, columns=call.columns, limit=call.limit, tell=tell)
    if call.is_json:
        write_json(report)
    else:
        show_report(report, data_console())
    return OK if report.ok else CHECK_FAILED


def _say_nothing(_line: str) -> None:
    """With ``--quiet``."""
