"""The fixture `check_reward`: a reward's check as a test.

    def test_mine(check_reward):
        check_reward(my_reward, data="data.jsonl")

Every pytest session of an environment with rayreward loads this module, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rayreward.checking.report import Report


@pytest.fixture
def check_reward(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Checks a reward as ``rayreward check`` does, and fails the test with its table where something is wrong.

    ``check_reward(reward, data="data.jsonl", args=None, limit=200, threshold=0.5, timeout_s=None, skip=())``: `reward`
    is a function, a reward, or what ``--reward`` takes; `data` is looked for beside the test first. It returns the
    `rayreward.checking.report.Report`.
    """

    def check(
        reward: Any,
        *,
        data: str | Path,
        args: Mapping[str, Any] | None = None,
        limit: int | None = None,
        threshold: float | None = None,
        timeout_s: float | None = None,
        skip: Sequence[str] = (),
    ) -> Report:
        __tracebackhide__ = True
        from rayreward.checking.check import CheckOptions
        from rayreward.checking.hacks import THRESHOLD
        from rayreward.checking.run import LIMIT, check_file, module_sent_by_value, reward_of
        from rayreward.checking.table import render_report, verdict

        options = CheckOptions(THRESHOLD if threshold is None else threshold, timeout_s, tuple(skip))
        beside = request.path.parent / data
        path = beside if beside.exists() else Path(data)
        with module_sent_by_value(getattr(request, "module", None)):
            report = check_file(reward_of(reward, args), path, options, limit=LIMIT if limit is None else limit)
        if not report.ok:
            pytest.fail(f"{verdict(report)}\n\n{render_report(report)}", pytrace=False)
        return report

    return check
