"""Where rewards run: a killable process, a thread, or the event loop; all behind one `Runner`."""

from __future__ import annotations

from rayreward.workers.choosing import build_runner
from rayreward.workers.outcomes import settled
from rayreward.workers.replaceable import Ran, ReplaceableRunner
from rayreward.workers.runner import Runner

__all__ = ["Ran", "ReplaceableRunner", "Runner", "build_runner", "settled"]
