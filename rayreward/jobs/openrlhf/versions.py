"""What the command line of each supported OpenRLHF knows, and what it calls things, without that version installed.

What arrives: a version. What leaves: its flags with arity, type, choices and default, and the name that it has for a
flag of another version: up to 0.10.1 names are flat (``--rollout_batch_size``), from 0.10.2 on they are dotted
(``--rollout.batch_size``). What it promises: ``known_flags.json`` holds what the real parsers say and nothing else
(a test compares them), and a version that nobody has looked at is refused by name.

``renamed_flags.json`` is written by hand: which dotted flags took over from a flat one. To support a new version, add
it to `SUPPORTED_VERSIONS` and hand all parsers to `write_known_flags`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError

SUPPORTED_VERSIONS = (
    *("0.8.11", "0.9.0", "0.9.1", "0.9.2", "0.9.3", "0.9.4", "0.9.5", "0.9.6", "0.9.7", "0.9.8", "0.9.9", "0.9.10"),
    *("0.10.0", "0.10.1", "0.10.2", "0.10.3", "0.10.4", "0.11.0", "0.11.1", "0.11.2"),
)
"""All releases between the first and the last; those before differ in more than names and defaults."""

OLDEST, NEWEST = SUPPORTED_VERSIONS[0], SUPPORTED_VERSIONS[-1]
FIRST_DOTTED = "0.10.2"

DATA_FOLDER = Path(__file__).parent
KNOWN_FLAGS_FILE = DATA_FOLDER / "known_flags.json"
RENAMED_FLAGS_FILE = DATA_FOLDER / "renamed_flags.json"

NAMED_BY_THE_CLOCK = frozenset({"--wandb_run_name", "--logger.wandb.run_name"})
"""Their default is the time at which the parser is built: no fact about a version."""


@dataclass(frozen=True)
class KnownFlag:
    """One option of OpenRLHF, alike in a row of versions.

    Attributes:
        flag: the option with its dashes.
        first: the first supported version that has it so.
        last: the last one.
        type: int, float or str; None for a switch, which takes no value.
        nargs: how many values, as argparse counts: None is one, 0 a switch.
        choices: the only values; None allows all of its type.
        default: the value where the option is left out.
    """

    flag: str
    first: str
    last: str
    type: str | None = None
    nargs: int | str | None = None
    choices: tuple[str, ...] | None = None
    default: Any = None

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.nargs == 0


def supported_version(version: str) -> str:
    """The release whose flags `version` has: a post release or a local build changes none.

    Raises:
        ConfigError: a version outside the supported ones, with the nearest.

    Example:
        >>> supported_version("0.10.1.post2")
        '0.10.1'
    """
    release = re.match(r"\d+\.\d+\.\d+(?=$|\.post|\+)", version)
    if release is not None and release[0] in SUPPORTED_VERSIONS:
        return release[0]
    raise ConfigError(
        f"OpenRLHF {version} is not supported: its command line is known from {OLDEST} to {NEWEST}; "
        f"the nearest is {_nearest_version(version)}: install it on the cluster, or set openrlhf_version to what runs"
    )


def is_dotted(version: str) -> bool:
    """Whether a supported version calls its flags ``--section.name``."""
    return at_least(version, FIRST_DOTTED)


def at_least(version: str, other: str) -> bool:
    """Whether a supported version is `other` or newer."""
    return SUPPORTED_VERSIONS.index(version) >= SUPPORTED_VERSIONS.index(other)


@cache
def known_flags(version: str) -> Mapping[str, KnownFlag]:
    """Every option of a supported version, by its name."""
    return {
        known.flag: known for known in all_flags() if at_least(version, known.first) and at_least(known.last, version)
    }


@cache
def all_flags() -> tuple[KnownFlag, ...]:
    """Every option of every supported version; one that changed stands here once for each form that it had."""
    rows = json.loads(KNOWN_FLAGS_FILE.read_text(encoding="utf-8"))
    return tuple(KnownFlag(**row | {"choices": tuple(row["choices"]) if "choices" in row else None}) for row in rows)


def versions_with(flag: str) -> tuple[str, ...]:
    """The supported versions that have `flag` under this very name, oldest first."""
    return tuple(version for version in SUPPORTED_VERSIONS if flag in known_flags(version))


def names_in(version: str, flag: str) -> tuple[str, ...]:
    """What a supported version calls a flag that may be another version's; none where it has no such option.

    Example:
        >>> names_in("0.9.10", "--critic.adam.betas"), names_in("0.11.2", "--ref_reward_offload")
        (('--adam_betas',), ('--ref.offload', '--reward.offload'))
    """
    known = known_flags(version)
    if flag in known:
        return (flag,)
    return tuple(name for name in (*dotted_names().get(flag, ()), *_flat_names().get(flag, ())) if name in known)


@cache
def dotted_names() -> Mapping[str, tuple[str, ...]]:
    """The dotted successors of each flat flag: several where one option was split."""
    rows = json.loads(RENAMED_FLAGS_FILE.read_text(encoding="utf-8"))
    return {flat: tuple(dotted) for flat, dotted in rows.items()}


@cache
def _flat_names() -> Mapping[str, tuple[str, ...]]:
    return {name: (flat,) for flat, names in dotted_names().items() for name in names}


def tabulate_flags(parsers: Mapping[str, argparse.ArgumentParser]) -> list[KnownFlag]:
    """What the real parsers of some versions say; what stays alike from one to the next is one row."""
    order = [version for version in SUPPORTED_VERSIONS if version in parsers]
    rows: dict[str, list[KnownFlag]] = {}
    for index, version in enumerate(order):
        for found in _read_actions(parsers[version], version):
            same = rows.setdefault(found.flag, [])
            is_continued = bool(same) and index > 0 and same[-1].last == order[index - 1]
            if is_continued and asdict(same[-1]) | {"first": version, "last": version} == asdict(found):
                same[-1] = KnownFlag(**asdict(same[-1]) | {"last": version})
            else:
                same.append(found)
    return [row for _, found_rows in sorted(rows.items()) for row in found_rows]


def write_known_flags(parsers: Mapping[str, argparse.ArgumentParser], path: Path = KNOWN_FLAGS_FILE) -> None:
    """Write the table of all supported versions, one row a line, from their real parsers.

    Raises:
        ConfigError: the parser of a supported version is missing.
    """
    missing = [version for version in SUPPORTED_VERSIONS if version not in parsers]
    if missing:
        raise ConfigError(
            f"the table holds all supported versions, and {', '.join(missing)} are missing; read them too"
        )
    rows = [{key: value for key, value in asdict(row).items() if value is not None} for row in tabulate_flags(parsers)]
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


def _read_actions(parser: argparse.ArgumentParser, version: str) -> list[KnownFlag]:
    return [
        KnownFlag(
            flag=flag,
            first=version,
            last=version,
            type=getattr(action.type, "__name__", None),
            nargs=action.nargs,
            choices=tuple(action.choices) if action.choices else None,
            default=_plain(action.default) if flag not in NAMED_BY_THE_CLOCK else None,
        )
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--") and flag != "--help"
    ]


def _plain(default: Any) -> Any:
    """A default as JSON can hold it."""
    if isinstance(default, tuple):
        return list(default)
    return str(default) if default == float("inf") else default


def _nearest_version(version: str) -> str:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return max((known for known in SUPPORTED_VERSIONS if _numbers(known) <= numbers), key=_numbers, default=OLDEST)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]
