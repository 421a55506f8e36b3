"""Finds a reward by its address: ``file.py::name``, ``pkg.mod:name`` or the name of a built-in.

What arrives: an address and arguments. What leaves: the object it names, or a `RewardLoadError` that says what was
looked for, where, and what is there instead. A module loaded from a file is pickled by value, so that its functions
can travel to machines that lack the file.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from rayreward.errors import ConfigError, RewardLoadError, did_you_mean


def load_object(address: str) -> Any:
    """The object that `address` names.

    Raises:
        RewardLoadError: the address has another form, the file or module cannot be imported, or it lacks the name.

    Example:
        >>> load_object("math:sqrt")(9)
        3.0
    """
    where, name = split_address(address)
    module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [key for key in vars(module) if not key.startswith("_")]
            raise RewardLoadError(f"{address!r}: {where} has no {name!r}; {did_you_mean(name, known)}")
        found = getattr(found, part)
    return found


def split_address(address: str) -> tuple[str, str]:
    """The file or module of an address, and the name in it.

    Raises:
        RewardLoadError: it has neither of the two forms.
    """
    where, separator, name = address.partition("::")
    if not separator:
        where, _, name = address.partition(":")
    if not where or not name:
        raise RewardLoadError(
            f"{address!r} names no reward; write 'my_rewards.py::my_reward' for a file or 'package.module:my_reward'"
        )
    return where, name


def names_in_file(path: Path) -> list[str]:
    """The top-level names that a Python file defines, read without running it.

    Raises:
        RewardLoadError: the file is missing or is not Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RewardLoadError(f"{path}: no such file (looked from {Path.cwd()})") from None
    except (SyntaxError, ValueError, OSError) as error:
        raise RewardLoadError(f"{path}: cannot be read as Python: {error}") from None
    found = _TopLevelNames()
    found.visit(tree)
    return found.names


class _TopLevelNames(ast.NodeVisitor):
    """Collects what a module binds, inside ``if``, ``try`` and ``with`` too, but not in functions and classes."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.append(node.name)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.names.extend((alias.asname or alias.name).split(".")[0] for alias in node.names)

    visit_ImportFrom = visit_Import

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.names.append(node.id)


def check_address(address: str) -> None:
    """Refuse an address that cannot load, as far as that shows without running code.

    Raises:
        RewardLoadError: wrong form, missing file, or a name that the file does not define.
    """
    where, name = split_address(address)
    if not where.endswith(".py"):
        return
    known = names_in_file(Path(where))
    if not {name.split(".")[0], "*", "__getattr__"} & {*known}:  # those two may define any name
        raise RewardLoadError(f"{address!r}: {where} defines no {name!r}; {did_you_mean(name, known)}")


def _load_file(path: Path) -> ModuleType:
    full = path.resolve()
    if not full.is_file():
        raise RewardLoadError(f"{path}: no such file (looked from {Path.cwd()})")
    # One module a file, named after its path, so that two files of one name do not meet.
    name = f"{full.stem}_{hashlib.sha256(str(full).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise RewardLoadError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that ends itself is no module of rewards
        del sys.modules[name]
        raise RewardLoadError(f"{path}: importing it raised {type(error).__name__}: {error}") from error
    cloudpickle.register_pickle_by_value(module)
    return module


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RewardLoadError(f"module {name!r} cannot be imported: {error}; is its folder on PYTHONPATH?") from error
    except Exception as error:
        raise RewardLoadError(f"module {name!r}: importing it raised {type(error).__name__}: {error}") from error


def require_extra(module: str, extra: str, *, asked_by: str) -> None:
    """Refuse to go on without an optional library; it is looked for and not imported.

    Raises:
        ConfigError: it is not installed here.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"{asked_by} needs {module}, which is not installed here: pip install 'rayreward[{extra}]' "
            "(where rewards run, too)"
        )
