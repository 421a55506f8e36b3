"""Ray Serve shells around the router and the rewards. `build` is what `serve run` is pointed at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayreward.serve.app import build

__all__ = ["build"]


def __getattr__(name: str) -> Any:
    if name == "build":  # importing Ray takes seconds; only who serves pays for it
        from rayreward.serve.app import build

        return build
    raise AttributeError(f"module 'rayreward.serve' has no attribute {name!r}")
