"""What a training's command line asks of OpenRLHF, whichever version it was written for.

What arrives: the words after ``train_ppo_ray``, flat or dotted. What leaves: options with the newest version's names
and typed values, the version whose defaults hold for what is left out, and a note for each word that could not be kept.
What it promises: no word disappears without a note, and no secret's value is in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rayreward.jobs.openrlhf.dialect import (
    BEHAVIOUR_WITHOUT,
    ONE_LENGTH_SINCE,
    OWNER_OF_SECRET_FLAG,
    FlagValue,
)
from rayreward.jobs.openrlhf.versions import (
    NEWEST,
    OLDEST,
    SUPPORTED_VERSIONS,
    KnownFlag,
    all_flags,
    at_least,
    dotted_names,
    known_flags,
    names_in,
)

WITHOUT_EFFECT = frozenset({"--actor_init_on_gpu", "--ptx_coef", "--perf", "--flash_attn", "--local_rank"})
"""Accepted, or once accepted, and read by nothing in `train_ppo_ray` of the supported versions."""

LENGTH_BEFORE_0_9_8 = 1024
"""Tokens: the default of ``--prompt_max_len`` and of ``--generate_max_len``."""

MAX_TURNS = "--max_steps"
"""In no version's parser, though READMEs show it: how many steps an agent's episode has."""

_SECRET = re.compile(r"token(?!s)|key|secret|password", re.IGNORECASE)
"""Of flags whose value goes into no note."""

_CORRECTIONS: dict[str, tuple[str, str]] = {
    "tis": ("token", "clip"),
    "icepop": ("token", "mask"),
    "seq-mask-tis": ("seq", "mask"),
}
"""Level and mode, in 0.11.2's words, of each type of correction for vLLM's numerics."""


@dataclass
class Options:
    """A command line, read.

    Attributes:
        version: the newest version that knows the flags, whose defaults hold for those left out.
        given: what was asked for, by the newest version's names.
        notes: what was not kept as it stood, and why.
    """

    version: str = NEWEST
    given: dict[str, FlagValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def default(self, flag: str) -> Any:
        """What `version` does where an option, by its newest name, is left out."""
        names = names_in(self.version, flag)
        return known_flags(self.version)[names[0]].default if names else BEHAVIOUR_WITHOUT.get(flag)


def read_options(words: Sequence[str]) -> Options:
    """The options of a command line."""
    options = Options()
    written = dict(_group(words, options.notes))
    options.version = _choose_version(written)
    typed = {flag: value for flag, values in written.items() for value in _typed(flag, values, options)}
    typed = _join_lengths(typed, options)
    if typed.pop("--bf16", False):
        typed["--param_dtype"] = "bf16"
    for flag, value in typed.items():
        options.given |= dict.fromkeys(dotted_names().get(flag, (flag,)), value)
    _rename_correction(options)
    return options


def _group(words: Sequence[str], notes: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag by its full name, with its values; the last one wins, as in argparse."""
    flag, values = "", list[str]()
    for word in (*words, "--"):
        if not word.startswith("--"):
            values.append(word)
            continue
        kept, rest = _cut(flag, values)
        if rest:
            notes.append(f"{' '.join(rest)}: belongs to no flag; left out")
        if flag:
            yield flag, kept
        name, equals, value = word.partition("=")
        flag, values = _full_name(name), [value] if equals else []


def _cut(flag: str, values: list[str]) -> tuple[list[str], list[str]]:
    """The values that a flag takes, and those that it does not."""
    known = _form(flag, len(values))
    if known is None:
        return (values, []) if flag else ([], values)
    count = _least(known) if not isinstance(known.nargs, str) else len(values)
    return values[:count], values[count:]


def _full_name(name: str) -> str:
    """The flag that argparse would take a unique beginning for."""
    known = {found.flag for found in all_flags()}
    if name in known or name in WITHOUT_EFFECT:
        return name
    begun = [flag for flag in known if flag.startswith(name)] if len(name) > len("--x") else []
    return begun[0] if len(begun) == 1 else name


def _form(flag: str, count: int) -> KnownFlag | None:
    """The newest form of a flag that `count` values satisfy, else its newest."""
    forms = [found for found in reversed(all_flags()) if found.flag == flag]
    return next((found for found in forms if _least(found) <= count), forms[0] if forms else None)


def _least(known: KnownFlag) -> int:
    """How many values a flag takes at least."""
    return known.nargs if isinstance(known.nargs, int) else int(known.nargs != "*")


def _choose_version(written: dict[str, list[str]]) -> str:
    """The newest of the versions that know the most of the flags."""
    return max(reversed(SUPPORTED_VERSIONS), key=lambda version: sum(flag in known_flags(version) for flag in written))


def _typed(flag: str, values: list[str], options: Options) -> Iterator[FlagValue]:
    """The flag's value; nothing, and a note, where it cannot be kept."""
    known = _form(flag, len(values))
    said = flag if _SECRET.search(flag) else f"{flag} {' '.join(values)}".rstrip()
    if flag in OWNER_OF_SECRET_FLAG:
        yield "secret"  # the value itself goes no further
    elif flag == MAX_TURNS:
        yield int(values[0]) if values and values[0].isdigit() else None
    elif flag in WITHOUT_EFFECT:
        options.notes.append(f"{said}: has no effect on a training; left out")
    elif known is None:
        options.notes.append(
            f"{said}: no OpenRLHF from {OLDEST} to {NEWEST} has this flag; left out. Where yours does, put it under "
            "extra_args"
        )
    else:
        yield from _read_values(known, values, said, options.notes)


def _read_values(known: KnownFlag, values: list[str], said: str, notes: list[str]) -> Iterator[FlagValue]:
    if known.is_switch:
        yield True
        return
    try:
        read = [{"int": int, "float": float}.get(known.type or "", str)(value) for value in values]
        if len(read) < _least(known):
            raise ValueError("a value is missing")
    except ValueError as error:
        notes.append(f"{said}: left out: {error}; fill it in")
        return
    yield read[0] if known.nargs is None else read


def _join_lengths(typed: dict[str, FlagValue], options: Options) -> dict[str, FlagValue]:
    """One limit for prompt and response together, as in newer versions."""
    if at_least(options.version, ONE_LENGTH_SINCE):
        return typed
    prompt = typed.pop("--prompt_max_len", LENGTH_BEFORE_0_9_8)
    response = typed.pop("--generate_max_len", LENGTH_BEFORE_0_9_8)
    both = int(str(prompt)) + int(str(response))
    limit = typed.get("--max_len", both)
    options.notes.append(
        f"data.max_len counts prompt and response together: {prompt} (--prompt_max_len) + {response} "
        "(--generate_max_len)"
    )
    return typed | {"--max_len": min(both, int(str(limit))), "--max_new_tokens": response}


def _rename_correction(options: Options) -> None:
    """The correction for vLLM's numerics in 0.11.2's words."""
    given, prefix = options.given, "--algo.advantage.is_correction_"
    is_on, kind = given.pop(f"{prefix}enable", False), given.pop(f"{prefix}type", "tis")
    if given.pop("--use_icepop", False):
        kind = "icepop"
    if at_least(options.version, NEWEST):
        return
    threshold = given.pop(f"{prefix}threshold", options.default(f"{prefix}threshold"))
    if not is_on:
        return
    level, mode = _CORRECTIONS.get(str(kind), ("token", "clip"))
    bounds = threshold if isinstance(threshold, list) else [threshold]
    given |= {f"{prefix}level": level, f"{prefix}mode": mode}
    given[f"{prefix}threshold"] = [0.0, *bounds] if len(bounds) == 1 else bounds
    options.notes.append(
        f"the correction for vLLM's numerics ({kind}) is written as {NEWEST} has it, and only that version"
    )
