"""Rows of prompt files, read as OpenRLHF's `datasets` would find them, and without importing it.

What arrives: what ``data.prompts`` names. What leaves: its sources, their files, and rows with a word on where they
stand. What it promises: files of any size are read in about a second: the first rows, and some of all the others.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rayreward.jobs.sections import LOCAL_SUFFIXES, is_local

CHECKED_ROWS = 10_000
"""Rows that are read from the start of a file; reading them takes about 0.1 s."""

SPREAD_ROWS = 64
"""Rows that are read from all over the rest of a larger file."""

COUNTED_BYTES = 256 * 2**20
"""Up to which size the lines of a file are counted, which takes about a tenth of a second a 100 MB."""


class UnreadableRowError(ValueError):
    """A row that cannot be read; the message says where it stands and why."""


@dataclass(frozen=True)
class Row:
    """One row of a prompt file.

    Attributes:
        where: for a person: ``row 3``, or the place in a large file.
        values: a mapping, if the file is as it should be.
    """

    where: str
    values: Any


@dataclass(frozen=True)
class PromptSource:
    """One of the comma-separated names of ``data.prompts``; ``name@folder`` names a folder of a data set."""

    name: str

    @property
    def path(self) -> Path | None:
        """The file or folder; None for a name on a hub."""
        bare = self.name.partition("@")[0].strip()
        return Path(bare) if is_local(bare) or Path(bare).is_dir() else None


def split_sources(prompts: str) -> list[PromptSource]:
    """The sources that OpenRLHF would blend.

    Example:
        >>> [source.name for source in split_sources("/data/a.jsonl, owner/name")]
        ['/data/a.jsonl', 'owner/name']
    """
    return [PromptSource(name.strip()) for name in prompts.split(",")]


def find_data_files(path: Path, split: str) -> list[Path]:
    """The files with the rows of `split`: the file itself, or what a folder holds.

    A folder was written by ``save_to_disk`` (with a folder a split), or has data files whose names may name a split.
    """
    if path.is_file():
        return [path]
    for saved in (path / split, path):
        if (saved / "state.json").is_file():
            state = json.loads((saved / "state.json").read_text(encoding="utf-8"))
            return [saved / file["filename"] for file in state["_data_files"]]
    listed = sorted(found for found in path.rglob("*") if found.suffix in LOCAL_SUFFIXES and found.is_file())
    files = [found for found in listed if not found.name.startswith("dataset_")]  # descriptions, not rows
    return [found for found in files if split in found.stem or found.parent.name == split] or files


def read_rows(path: Path) -> Iterator[Row]:
    """The first rows of a file, then some of the others.

    Raises:
        UnreadableRowError: a row is no JSON, no text, or does not have the columns of the header.
        OSError: the file cannot be read.
        ImportError: a Parquet or Arrow file, and pyarrow is not installed.
    """
    if path.suffix == ".csv":
        return _read_csv(path)
    if path.suffix in (".parquet", ".arrow"):
        return _read_table(path)
    return _read_list(path) if _holds_a_list(path) else _read_lines(path)


def count_rows(path: Path) -> int | None:
    """How many rows a file has; None where counting them would take long.

    Raises:
        OSError, ImportError, ValueError: as `read_rows`.
    """
    if path.suffix in (".parquet", ".arrow"):
        return int(_open_table(path).count_rows())
    if path.stat().st_size > COUNTED_BYTES:
        return None
    if path.suffix == ".csv" or _holds_a_list(path):
        return sum(1 for _ in (_iterate_csv(path) if path.suffix == ".csv" else _read_list(path, stop=None)))
    with path.open("rb") as lines:
        return sum(1 for line in lines if not line.isspace())


def _holds_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"[")


def _read_list(path: Path, stop: int | None = CHECKED_ROWS) -> Iterator[Row]:
    """A JSON file that is one list; a `.jsonl` may be one, too."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableRowError(f"it starts as a list and is no JSON: {error}") from None
    for number, value in islice(enumerate(values, start=1), stop):
        yield Row(f"row {number}", value)


def _read_lines(path: Path) -> Iterator[Row]:
    number = 0
    with path.open("rb") as lines:
        for line in lines:
            if line.isspace():
                continue
            number += 1
            if number > CHECKED_ROWS:
                break
            yield Row(f"row {number}", _parse(line, f"row {number}"))
        else:
            return
        yield from _spread_lines(lines.tell(), path)


def _spread_lines(start: int, path: Path) -> Iterator[Row]:
    """Lines at even distances: whatever line begins after each place."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for part in range(SPREAD_ROWS):
            file.seek(start + (size - start) * part // SPREAD_ROWS)
            file.readline()
            place = file.tell()
            line = file.readline()
            if line and not line.isspace():
                where = f"the line at byte {place:,}"
                yield Row(where, _parse(line, where))


def _parse(line: bytes, where: str) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise UnreadableRowError(f"{where} cannot be read: {error}") from None


def _read_csv(path: Path) -> Iterator[Row]:
    return islice(_iterate_csv(path), CHECKED_ROWS)


def _iterate_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            for number, values in enumerate(rows, start=1):
                if None in values:  # where DictReader puts surplus fields
                    raise UnreadableRowError(f"row {number} has more fields than the header has names")
                # pandas, which reads it for the training, takes an empty field as a missing one.
                yield Row(f"row {number}", {name: value or None for name, value in values.items()})
        except (csv.Error, UnicodeDecodeError) as error:
            raise UnreadableRowError(f"line {rows.line_num} cannot be read: {error}") from None


def _read_table(path: Path) -> Iterator[Row]:
    table = _open_table(path)
    count = table.count_rows()
    head = range(min(count, CHECKED_ROWS))
    rest = range(len(head), count, max(1, (count - len(head)) // SPREAD_ROWS))
    names = table.schema.names
    for numbers in (head, rest):
        if numbers:
            for number, values in zip(numbers, table.take(numbers).to_pylist(), strict=True):
                yield Row(f"row {number + 1}", {name: values[name] for name in names})


def _open_table(path: Path) -> Any:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.dataset  # type: ignore[import-untyped]

    with path.open("rb") as file:
        is_stream = path.suffix == ".arrow" and file.read(6) != b"ARROW1"
    try:
        if is_stream:  # as `datasets` writes them
            return pyarrow.dataset.dataset(pyarrow.ipc.open_stream(pyarrow.memory_map(os.fspath(path))).read_all())
        return pyarrow.dataset.dataset(path, format=path.suffix.removeprefix("."))
    except pyarrow.ArrowInvalid as error:
        raise UnreadableRowError(f"it is no {path.suffix} file: {error}") from None
