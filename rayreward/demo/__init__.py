"""`make demo`: rewards served, real data scored, a real training run against them, all on one machine."""

from __future__ import annotations

from rayreward.demo.run import run_demo

__all__ = ["run_demo"]
