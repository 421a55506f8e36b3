"""``rayreward versions``: which versions of its rewards a service has, and who meets which.

What arrives: the options of the command line. What leaves: a table or a JSON document on stdout. A change is made by
the service or refused by it; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rayreward.cli.output import OK, data_console, write_json
from rayreward.cli.service import service_url_of
from rayreward.client.http import HttpClient
from rayreward.client.sync import run_sync
from rayreward.router.comparison import ShadowComparison
from rayreward.router.rollout import RewardVersions
from rayreward.types import RewardInfo
from rayreward.wire import VersionsChangeBody

_LIMIT_S = 30.0
"""For a command that a person waits for; the service answers from memory."""


def list_versions(url: str | None, *, is_json: bool = False) -> int:
    """Show every reward with its versions; returns the exit code."""
    found = run_sync(_all_versions(service_url_of(url)))
    write_json({"rewards": found}) if is_json else show(found)
    return OK


def change_versions(
    url: str | None,
    reward: str,
    *,
    action: Literal["promote", "roll_back", "set"],
    canary_percent: float | None = None,
    shadow_percent: float | None = None,
    is_json: bool = False,
) -> int:
    """Ask for a change, and show what is then; returns the exit code."""
    change = VersionsChangeBody(action, canary_percent, shadow_percent)
    found = run_sync(_changed(service_url_of(url), reward, change))
    write_json(found) if is_json else show([found])
    return OK


async def _all_versions(url: str) -> list[RewardVersions]:
    async with HttpClient(url, timeout_s=_LIMIT_S) as client:
        return [await client.aversions(info.name) for info in await client.arewards()]


async def _changed(url: str, reward: str, change: VersionsChangeBody) -> RewardVersions:
    async with HttpClient(url, timeout_s=_LIMIT_S) as client:
        return await client.achange_versions(reward, change)


def show(found: Sequence[RewardVersions]) -> None:
    """A line a version: who it is, how it is, and what it answers."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("reward", "is", "version", "state", "answers", "shadow"):
        table.add_column(column, overflow="fold")
    for one in found:
        for role, info in (("live", one.live), ("candidate", one.candidate), ("previous", one.previous)):
            if info is not None:
                table.add_row(*map(Text, (one.reward, role, info.version or "-", _state(info), *_shares(one, role))))
    data_console().print(table)


def _state(info: RewardInfo) -> str:
    failure = info.extra.get("reload_failure")
    return f"{info.state}; {failure}" if failure else info.state


def _shares(one: RewardVersions, role: str) -> tuple[str, str]:
    """Of the prompts: those that a version answers, and those that it scores unseen."""
    answered = {"live": 100.0 - one.canary_percent, "candidate": one.canary_percent}.get(role, 0.0)
    shadow = f"{one.shadow_percent:g} %{_compared(one.shadow)}" if role == "candidate" else ""
    return f"{answered:g} %", shadow


def _compared(shadow: ShadowComparison | None) -> str:
    if shadow is None:
        return ""
    said = []
    if shadow.mean_absolute_difference is not None and shadow.equal_share is not None:
        apart = f"{shadow.mean_absolute_difference:.4g} apart"
        said.append(f"{shadow.compared_count} compared, {100 * shadow.equal_share:.4g} % equal, {apart} on average")
    said += [f"{count} {kind}" for kind, count in sorted(shadow.failure_counts.items())]
    if shadow.dropped_count:
        said.append(f"{shadow.dropped_count} left out")
    return f": {', '.join(said)}" if said else ""
