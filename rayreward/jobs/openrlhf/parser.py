"""The command line that an OpenRLHF accepts, read from its own source.

What arrives: the installed package, a wheel, or the number of a version. What leaves: an `OpenRLHFParser` that knows
every flag, its arity, its type and its choices, and checks a command line against them. What it promises: OpenRLHF,
torch, vLLM and Ray stay unimported; only the statements of ``train_ppo_ray.py`` that build its argument parser are
executed. A version that is not installed is checked against `versions`' table, which real parsers wrote.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.metadata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.versions import NEWEST, KnownFlag, known_flags, supported_version

ENTRYPOINT_MODULE = "openrlhf.cli.train_ppo_ray"
ENTRYPOINT_FILE = "openrlhf/cli/train_ppo_ray.py"


@dataclass(frozen=True)
class OpenRLHFParser:
    """One OpenRLHF version's command line.

    Attributes:
        version: the package's version.
        parser: its own argument parser, rebuilt.
    """

    version: str
    parser: argparse.ArgumentParser

    @property
    def flags(self) -> frozenset[str]:
        """Every option, with its leading dashes."""
        return frozenset(self.parser._option_string_actions) - {"-h", "--help"}

    def is_switch(self, flag: str) -> bool:
        """Whether the flag takes no value."""
        return self.parser._option_string_actions[flag].nargs == 0

    def check(self, flags: Sequence[str]) -> list[str]:
        """What this version refuses in a command line, one message a mistake; empty when all is well."""
        unknown = [word for word in flags if word.startswith("--") and word.partition("=")[0] not in self.flags]
        if unknown:
            # argparse would also accept a unique prefix; a spec spells its flags out.
            return [f"OpenRLHF {self.version} has no flag {word!r}; {self._nearest(word)}" for word in unknown]
        try:
            self.parser.parse_args(list(flags))
        except _RefusedError as error:
            return [f"OpenRLHF {self.version} refuses the command line: {error}"]
        return []

    def _nearest(self, flag: str) -> str:
        nearest = difflib.get_close_matches(flag, self.flags, n=1)
        return f"did you mean {nearest[0]!r}?" if nearest else f"python -m {ENTRYPOINT_MODULE} --help lists them all"


def installed_version() -> str | None:
    """The installed OpenRLHF's version; None where there is none."""
    try:
        return importlib.metadata.version("openrlhf")
    except importlib.metadata.PackageNotFoundError:
        return None


def installed_parser() -> OpenRLHFParser | None:
    """The installed OpenRLHF's command line; None where the package is not installed."""
    version = installed_version()
    if version is None:
        return None
    path = Path(str(importlib.metadata.distribution("openrlhf").locate_file(ENTRYPOINT_FILE)))
    return OpenRLHFParser(version, rebuild_parser(path.read_text(encoding="utf-8"), source=str(path)))


def parser_of(version: str) -> OpenRLHFParser:
    """The command line of a supported version: the installed package's own where it is that one, else the table's.

    Raises:
        ConfigError: a version that is not supported.
    """
    release = supported_version(version)
    if installed_version() == version and (installed := installed_parser()) is not None:
        return installed
    parser = _RaisingParser()
    for known in known_flags(release).values():
        _add_known_flag(parser, known)
    return OpenRLHFParser(version, parser)


def wheel_parser(path: Path) -> OpenRLHFParser:
    """The command line of the OpenRLHF in a wheel.

    Raises:
        ConfigError: the file is no wheel of OpenRLHF.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            (entry,) = (name for name in wheel.namelist() if name.endswith(ENTRYPOINT_FILE))
            text = wheel.read(entry).decode()
    except (ValueError, zipfile.BadZipFile):
        raise ConfigError(f"{path}: no wheel that holds {ENTRYPOINT_FILE}; pip download --no-deps openrlhf") from None
    return OpenRLHFParser(path.name.split("-")[1], rebuild_parser(text, source=f"{path}:{entry}"))


def rebuild_parser(text: str, *, source: str) -> argparse.ArgumentParser:
    """The argument parser that a training script builds under ``if __name__ == "__main__"``.

    Raises:
        ConfigError: the script builds no ``parser`` there, as in an OpenRLHF that is organised differently.
    """
    statements: list[ast.stmt] = []
    for block in ast.parse(text, filename=source).body:
        if isinstance(block, ast.If):
            statements += [statement for statement in block.body if _builds_parser(statement)]
    scope: dict[str, Any] = {"argparse": _ArgparseThatRaises, "datetime": datetime}
    exec(compile(ast.Module(statements, type_ignores=[]), source, "exec"), scope)
    parser = scope.get("parser")
    if not isinstance(parser, argparse.ArgumentParser):
        raise ConfigError(f"{source}: no argument parser found; this OpenRLHF is unknown here: install {NEWEST}")
    return parser


def _builds_parser(statement: ast.stmt) -> bool:
    """``parser = …ArgumentParser()``, ``parser.add_argument(…)``, or a loop of nothing but the latter."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="parser")]):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="parser"), attr="add_argument"))):
            return True
        case ast.For(body=body):
            return all(_builds_parser(inner) for inner in body)
    return False


def _add_known_flag(parser: argparse.ArgumentParser, known: KnownFlag) -> None:
    if known.is_switch:
        parser.add_argument(known.flag, action="store_true", default=known.default)
        return
    value_type = {"int": int, "float": float}.get(known.type or "", str)
    parser.add_argument(known.flag, type=value_type, nargs=known.nargs, choices=known.choices, default=known.default)


class _RefusedError(Exception):
    """What the parser says where it would print its usage and exit."""


class _RaisingParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


class _ArgparseThatRaises:
    """Stands for the module `argparse` in the executed statements."""

    ArgumentParser = _RaisingParser
