"""Found by every Python process of a ``platform: cpu`` job, because this folder is on its PYTHONPATH.

What it does: at the first import of openrlhf, and not before, it installs `rayreward.jobs.openrlhf.cpu_sources`. A
process that never imports openrlhf imports nothing more. A ``sitecustomize`` further along the path, which this one
hides, is run.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any


class InstallAtFirstImport:
    """A finder that finds nothing: it is told the name of every import, and waits for one."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> None:
        """Install the rules before the first module of openrlhf is looked for."""
        if name == "openrlhf":
            sys.meta_path.remove(cls)
            from rayreward.jobs.openrlhf import cpu_sources

            cpu_sources.install()


def run_the_hidden_one() -> None:
    """Run the ``sitecustomize`` that would have been found without this folder."""
    here = Path(__file__).parent
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry and Path(entry) != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, InstallAtFirstImport)
run_the_hidden_one()
