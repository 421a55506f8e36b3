"""Where rewards run: a killable process, a thread, or the event loop; all behind one `Runner`."""

from __future__ import annotations

from rayreward.workers.replaceable import ReplaceableRunner
from rayreward.workers.runner import Runner, build_runner

__all__ = ["ReplaceableRunner", "Runner", "build_runner"]
