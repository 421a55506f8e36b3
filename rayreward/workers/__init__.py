"""Where rewards run: a killable process, a thread, or the event loop; all behind one `Runner`."""

from __future__ import annotations

from rayreward.workers.runner import Runner, build_runner

__all__ = ["Runner", "build_runner"]
