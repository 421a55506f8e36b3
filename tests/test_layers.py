"""Imports go one way. A module may import what lies below it; beside it, only its own package, without cycles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rayreward

ROOT = Path(rayreward.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "collecting", "serve.port_keeper"),
    (
        "messages",
        "strict",
        "loading",
        "versioning",
        "json_text",
        "calling",
        "environment",
        "forking",
        "sandbox",
        "vllm_engine",
        "serve.lost_model",
    ),
    ("sample", "types", "condition"),
    ("batches",),
    ("outcome", "plain", "signature", "compose", "grouping", "thinking", "lengths"),
    ("boundary", "wire"),
    ("function", "log"),
    ("decorator",),
    ("models", "judges", "toolcalls", "grading", "programs"),
    ("languages",),
    ("instructions",),
    ("rewards",),
    ("spec",),
    ("workers", "trainers", "serve.calls", "serve.cluster"),
    ("router",),
    ("client",),
    ("serve",),
    ("agents",),
    ("testing", "scoring", "jobs"),
    ("checking",),
    ("demo",),
    ("cli",),
    ("",),  # the package itself: names that load when they are used
)
"""From the bottom up."""

REACHES_UP = {
    ("function", "client"): "a remote reward asks a service; a sync call needs a loop",
    ("function", "models"): "mode='hosted' makes a reward model that is asked over HTTP",
    ("function", "trainers"): "get_trl_adapter() is a method of every reward",
    ("trainers", "client"): "a trainer imports its plug-in by name, and the plug-in asks a service",
    ("jobs", "cli"): "python -m rayreward.jobs is the command line's own part",
    ("decorator", "serve"): "deploy() is a method of every marked function",
}
"""Imports inside functions that go up, and why; nothing else may."""

WITHOUT_RAY = (
    "sample",
    "types",
    "function",
    "rewards",
    "models",
    "judges",
    "calling",
    "toolcalls",
    "grading",
    "programs",
    "router",
    "workers",
    "forking",
    "sandbox",
    "trainers",
    "log",
    "testing",
)


class Import(NamedTuple):
    by: str
    what: str
    is_inside_a_function: bool


def names() -> dict[str, Path]:
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {name.removesuffix("__init__").rstrip("."): path for name, path in found.items()}


def imports_of(name: str, path: Path) -> Iterator[Import]:
    def walk(node: ast.AST, is_inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (Import(name, alias.name, is_inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                yield from (Import(name, f"{child.module}.{alias.name}", is_inside) for alias in child.names)
            yield from walk(child, is_inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    yield from walk(ast.parse(path.read_text()), is_inside=False)


MODULES = names()
IMPORTS = [found for name, path in MODULES.items() for found in imports_of(name, path)]


def own(found: Import) -> str | None:
    """The module of ours that an import is of, None for others'."""
    package, _, name = found.what.partition(".")
    if package != "rayreward":
        return None
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def layer_of(name: str) -> tuple[int, str]:
    """How high a module lies, and the entry of the list that says so: the longest that fits."""
    fitting = [
        (len(entry), height, entry)
        for height, layer in enumerate(LAYERS)
        for entry in layer
        if name == entry or (entry and name.startswith(f"{entry}."))
    ]
    assert fitting, f"{name} is in no layer: put it where it belongs in LAYERS"
    _, height, entry = max(fitting)
    return height, entry


def test_every_module_has_its_layer() -> None:
    assert {layer_of(name)[1] for name in MODULES} == {entry for layer in LAYERS for entry in layer}


def test_modules_import_from_below() -> None:
    wrong = []
    for found in IMPORTS:
        target = own(found)
        if target is None:
            continue
        (height, entry), (target_height, target_entry) = layer_of(found.by), layer_of(target)
        is_allowed = target_height < height or entry == target_entry
        if found.is_inside_a_function:
            is_allowed = is_allowed or (entry, target_entry.split(".")[0]) in REACHES_UP or target == ""
        if not is_allowed and target != "":
            wrong.append(
                f"{found.by} imports {found.what}, which lies {'beside' if target_height == height else 'above'} it"
            )
    assert wrong == []


def test_every_reach_upwards_is_still_needed() -> None:
    used = {
        (layer_of(found.by)[1], (own(found) or "").split(".")[0]) for found in IMPORTS if found.is_inside_a_function
    }
    assert REACHES_UP.keys() <= used


def test_there_are_no_cycles() -> None:
    below: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        target = own(found)
        if target and not found.is_inside_a_function and target != found.by:
            below[found.by].add(target)

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " imports ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in below[name]:
                visit(target, (*way, name))
            done.add(name)

    done: set[str] = set()
    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("package", WITHOUT_RAY)
def test_the_core_never_imports_ray(package: str) -> None:
    users = {found.by for found in IMPORTS if found.what.split(".")[0] == "ray"}
    assert users, "something must import ray, or this test sees nothing"
    assert {name for name in users if name == package or name.startswith(f"{package}.")} == set()
