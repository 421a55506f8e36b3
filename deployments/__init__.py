"""What ``serve run deployments/`` and ``serve run deployments:app`` serve: the rewards of ``deployments/rewards.yaml``.

Stay in the repository's root for both, or give Serve its ``--app-dir``. Another file is chosen with the environment's
RAYREWARD_CONFIG. Nothing is started by importing this; Ray Serve starts what it is handed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve import Application

    app: Application

CONFIG = Path(__file__).with_name("rewards.yaml")


def build(args: dict[str, Any]) -> Application:
    """The application, for ``serve run deployments:build key=value``; without arguments that of `CONFIG`."""
    from rayreward.serve import build as build_service

    return build_service(args or {"config_file": os.environ.get("RAYREWARD_CONFIG", str(CONFIG))})


def __getattr__(name: str) -> Any:
    # Serve takes "deployments/" for an import path and asks this module for an attribute of that very name.
    if name == "app" or name.rstrip("/") == __name__:
        return build({})
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
