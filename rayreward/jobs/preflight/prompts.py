"""Whether the prompts can be read and have what the training asks of each.

What arrives: a spec. What leaves: findings, the number of prompts, and a few of them for probing the reward. A name on
a hub is left to OpenRLHF: this machine may not reach the hub, or not with the same rights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rayreward.errors import did_you_mean
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.prompt_files import (
    Row,
    UnreadableRowError,
    count_rows,
    find_data_files,
    read_rows,
    split_sources,
)
from rayreward.jobs.sections import LOCAL_SUFFIXES
from rayreward.jobs.spec import JobSpec
from rayreward.jobs.trl.spec import TrlSpec

CHECK = "prompts"

_MOST_CHARS_A_TOKEN = 8
"""No tokenizer gets more out of ordinary text; usual are three to five."""

_BROKEN = (UnreadableRowError, OSError, ImportError, KeyError, ValueError)
"""What reading a prompt file raises, whatever is wrong with it."""


@dataclass(frozen=True)
class PromptRules:
    """What a training asks of each row.

    Attributes:
        input_key: of the prompt.
        label_key: of what the reward compares with; None where it needs nothing.
        split: the rows of a data set that are meant.
        takes_messages: whether a prompt may be a list of messages.
        wants_json: whether labels travel to the reward as JSON.
        max_chars: of a prompt whose start would be cut off otherwise; None where nobody knows.
    """

    input_key: str
    label_key: str | None
    split: str
    takes_messages: bool
    wants_json: bool
    max_chars: int | None

    @classmethod
    def of(cls, spec: JobSpec) -> PromptRules:
        """The rules of a spec."""
        data, is_trl = spec.data, isinstance(spec, TrlSpec)
        room_tokens = 0 if isinstance(spec, TrlSpec) else spec.data.max_len - (spec.rollout.max_new_tokens or 1)
        return cls(
            input_key=data.input_key,
            label_key=data.label_key,
            split=data.split,
            takes_messages=data.apply_chat_template or is_trl,  # TRL sees by itself that a prompt is a chat
            wants_json=spec.transport == "http",
            max_chars=_MOST_CHARS_A_TOKEN * room_tokens if room_tokens > 0 else None,
        )


def check_prompts(spec: JobSpec) -> Iterator[Finding]:
    """Whether the files exist, can be read, and have the keys and types that the training needs."""
    rules = PromptRules.of(spec)
    for source in split_sources(spec.data.prompts):
        if source.path is not None:
            yield from _check_source(source.path, rules)


def check_hub_prompts(spec: JobSpec) -> Iterator[Finding]:
    """A word on what cannot be looked at."""
    for source in split_sources(spec.data.prompts):
        if source.path is None:
            found = f"{source.name} is on a hub, so that neither its rows nor the key {spec.data.input_key!r} were seen"
            yield Finding(CHECK, found, "download it to try the reward with its prompts", is_warning=True)


def count_prompts(spec: JobSpec) -> int | None:
    """How many prompts there are; None where some are on a hub, unreadable or too many to count."""
    counts = []
    try:
        for source in split_sources(spec.data.prompts):
            if source.path is None:
                return None
            counts += [count_rows(file) for file in find_data_files(source.path, spec.data.split)]
    except _BROKEN:
        return None
    return sum(count for count in counts if count is not None) if None not in counts else None


def sample_rows(spec: JobSpec, count: int) -> list[Mapping[str, Any]]:
    """The first row, the last and others at even distances; fewer where there are fewer or they have mistakes."""
    rules, rows = PromptRules.of(spec), []
    paths = [source.path for source in split_sources(spec.data.prompts) if source.path is not None]
    try:
        files = chain.from_iterable(find_data_files(path, spec.data.split) for path in paths)
        for row in chain.from_iterable(map(read_rows, files)):
            if _mistake_in_row(rules, row.values) is None:
                rows.append(row.values)
    except _BROKEN:
        pass  # told by check_prompts; what was read until there will do
    if len(rows) <= count:
        return rows
    return [rows[part * (len(rows) - 1) // (count - 1)] for part in range(count)]


def _check_source(path: Path, rules: PromptRules) -> Iterator[Finding]:
    if not path.exists():
        remedy = "data.prompts must name a file or folder, by its full path, that every node can read"
        yield Finding(CHECK, f"{path} does not exist", remedy)
    elif not path.is_absolute():
        found = f"{path} is relative, and a job starts in a working directory of its own"
        yield Finding(CHECK, found, "write its full path in data.prompts")
    elif path.is_file() and path.suffix not in LOCAL_SUFFIXES:
        found = f"{path} is no kind of file that prompts are read from"
        yield Finding(CHECK, found, f"convert it to one of {', '.join(LOCAL_SUFFIXES)}")
    else:
        try:
            mistake = _mistake_in_split(path, rules.split)
            files = find_data_files(path, rules.split)
        except (OSError, ValueError, KeyError, TypeError) as error:  # a description that is none
            yield Finding(CHECK, f"{path} cannot be read: {error!r}", "write it anew with save_to_disk")
            return
        yield from [mistake] if mistake is not None else _check_files(path, files, rules)


def _mistake_in_split(path: Path, split: str) -> Finding | None:
    if path.is_file() and split != "train":
        found = f"data.split is {split!r}, and a file has all its rows in 'train'"
        return Finding(CHECK, found, "leave data.split out, or name a file that has only those rows")
    saved = path / "dataset_dict.json"
    if saved.is_file():
        splits = json.loads(saved.read_text(encoding="utf-8"))["splits"]
        if split not in splits:
            return Finding(
                CHECK, f"{path} has no split {split!r}", f"correct data.split; {did_you_mean(split, splits)}"
            )
    return None


def _check_files(path: Path, files: Sequence[Path], rules: PromptRules) -> Iterator[Finding]:
    if not files:
        yield Finding(CHECK, f"{path} holds no data files", f"put files into it: {', '.join(LOCAL_SUFFIXES)}")
    for file in files:
        try:
            yield from _check_rows(file, rules)
        except UnreadableRowError as error:
            yield Finding(CHECK, f"{file}: {error}", "mend the file: one JSON object a line, or one list of them")
        except ImportError as error:
            found = f"{file} cannot be looked at here: {error}"
            yield Finding(CHECK, found, "pip install pyarrow", is_warning=True)
        except OSError as error:
            yield Finding(CHECK, f"{file} cannot be read: {error.strerror or error}", "let every node's user read it")


def _check_rows(file: Path, rules: PromptRules) -> Iterator[Finding]:
    """The first mistake of a file, and the first of each thing that is odd."""
    count, odd = 0, _OddRows(file, rules)
    for row in read_rows(file):
        count += 1
        mistake = _mistake_in_row(rules, row.values)
        if mistake is not None:
            found, remedy = mistake
            yield Finding(CHECK, f"{file}, {row.where}: {found}", remedy)
            return
        odd.look_at(row)
    if count == 0:
        yield Finding(CHECK, f"{file} is empty", "one JSON object a line")
    yield from odd.findings.values()


def _mistake_in_row(rules: PromptRules, row: Any) -> tuple[str, str] | None:
    if not isinstance(row, Mapping):
        return f"a {type(row).__name__} instead of an object", "one JSON object a line"
    for setting, key in (("data.input_key", rules.input_key), ("data.label_key", rules.label_key)):
        if key is not None and row.get(key) is None:
            return f"no {key!r}, which {setting} asks for", f"correct {setting} or the file; {did_you_mean(key, row)}"
    mistake = _mistake_in_prompt(rules, row[rules.input_key])
    if mistake is None and rules.wants_json and rules.label_key is not None:
        mistake = _mistake_in_label(row[rules.label_key], rules.label_key)
    return mistake


def _mistake_in_prompt(rules: PromptRules, prompt: Any) -> tuple[str, str] | None:
    key = rules.input_key
    if isinstance(prompt, list) and not rules.takes_messages:
        return f"{key!r} is a list of messages", "set data.apply_chat_template to true"
    if not isinstance(prompt, (str, list)):
        return f"{key!r} is a {type(prompt).__name__}", "a prompt is a text or a list of messages"
    if not prompt:
        return f"{key!r} is empty", "take the row out, or give it a prompt"
    if isinstance(prompt, list):
        wrong = next((one for one in prompt if not isinstance(one, Mapping) or not {"role", "content"} <= {*one}), None)
        if wrong is not None:
            return f"{key!r} holds {wrong!r:.60}, which is no message", "a message has a role and a content"
    return None


def _mistake_in_label(label: Any, key: str) -> tuple[str, str] | None:
    try:
        json.dumps(label, allow_nan=False)
    except (TypeError, ValueError):
        return f"{key!r} is a {type(label).__name__} that JSON cannot hold", "write it as text, or set reward.transport"
    return None


class _OddRows:
    """Collects what is no mistake but hardly meant, once each."""

    def __init__(self, file: Path, rules: PromptRules) -> None:
        self._file, self._rules = file, rules
        self._label_type: tuple[type, str] | None = None
        self.findings: dict[str, Finding] = {}

    def look_at(self, row: Row) -> None:
        """Remember the row where it is odd."""
        prompt, limit = row.values[self._rules.input_key], self._rules.max_chars
        length = len(last_text(prompt)) if isinstance(prompt, list) else len(prompt)
        if limit is not None and length > limit:
            found = f"a prompt of {length:,} characters is longer than data.max_len leaves room for, with the response"
            self._add("length", row, found, "OpenRLHF cuts its start off: raise data.max_len, or take the row out")
        if self._rules.label_key is not None:
            self._look_at_label(row, row.values[self._rules.label_key])

    def _look_at_label(self, row: Row, label: Any) -> None:
        kind = float if isinstance(label, (int, float)) and not isinstance(label, bool) else type(label)
        if self._label_type is None:
            self._label_type = kind, row.where
        known, where = self._label_type
        if kind is not known:
            found = f"the label is a {kind.__name__}, and a {known.__name__} in {where}"
            remedy = "give all labels one type: depending on its version, datasets refuses the file or turns '1' into 1"
            self._add("types", row, found, remedy)

    def _add(self, name: str, row: Row, found: str, remedy: str) -> None:
        finding = Finding(CHECK, f"{self._file}, {row.where}: {found}", remedy, is_warning=True)
        self.findings.setdefault(name, finding)


def last_text(messages: list[Any]) -> str:
    """What the last message says."""
    content = messages[-1].get("content") if messages else ""
    return content if isinstance(content, str) else json.dumps(content, default=str)
