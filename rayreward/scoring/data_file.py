"""The samples of a JSON Lines file, one at a time.

What arrives: a path and the columns asked for. What leaves: rows in order, each with its line number, a digest that
tells it from any other, and its sample or why it is none. The file is never held in memory, and every line is a row:
an empty or broken one too, so that line n of the outputs belongs to line n of the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rayreward.errors import ConfigError
from rayreward.sample import Sample
from rayreward.scoring.columns import Columns, choose_columns, read_sample
from rayreward.types import FailureKind, RewardOutput

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_DIGEST_BYTES = 6
"""48 bits: a changed line is missed once in 3e14; more would only make the outputs wider."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the data.

    Attributes:
        number: of the line, from 1.
        digest: of the line's bytes and the columns in use.
        item: its sample, or the output of a malformed line.
        id: of the sample, where the row has one.
        end_bytes: where the line ends in the file.
    """

    number: int
    digest: str
    item: Sample | RewardOutput
    id: str | None
    end_bytes: int


class DataFile:
    """A JSON Lines file of samples.

    Args:
        path: the file.
        asked: columns that the user named.

    Raises:
        ConfigError: it cannot be read, no line of it is an object, or its columns do not fit.
    """

    def __init__(self, path: Path, asked: Columns) -> None:
        self.path = path
        self.columns = self._find_columns(asked)
        self._salt = str(self.columns).encode() + b"\x00"

    @property
    def size_bytes(self) -> int:
        """Of the file now."""
        return self.path.stat().st_size

    def rows(self, *, skip: int = 0) -> Iterator[Row]:
        """The rows after the first `skip` lines."""
        for number, end_bytes, line in self._lines():
            if number > skip:
                item, row_id = self._read(number, line)
                yield Row(number, self._digest(line), item, row_id, end_bytes)

    def digests(self) -> Iterator[str]:
        """Of all rows, without reading their samples."""
        return (self._digest(line) for _, _, line in self._lines())

    def _digest(self, line: bytes) -> str:
        return hashlib.blake2b(self._salt + line, digest_size=_DIGEST_BYTES).hexdigest()

    def _read(self, number: int, line: bytes) -> tuple[Sample | RewardOutput, str | None]:
        row: Any = None
        try:
            row = _decode(line)
            item = read_sample(row, self.columns)
        except ValueError as error:
            item = RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))
        if isinstance(item, Sample):
            return item, item.id
        reason = item.failure.message if item.failure is not None else ""
        named = RewardOutput.failed(FailureKind.INVALID_INPUT, f"{self.path.name} line {number}: {reason}")
        row_id = row.get("id") if isinstance(row, dict) else None
        return named, None if row_id is None else str(row_id)

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        end_bytes = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    end_bytes += len(line)
                    text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                    yield number, end_bytes, text.strip()
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror} (looked from {Path.cwd()})") from None

    def _find_columns(self, asked: Columns) -> Columns:
        first_mistake = None
        for number, _, line in self._lines():
            if number == 1 and line.startswith(b"["):
                raise ConfigError(
                    f"{self.path}: is a JSON array; one object a line is wanted: jq -c '.[]' {self.path} > data.jsonl"
                )
            try:
                row = _decode(line)
                if isinstance(row, dict):
                    return choose_columns(list(row), asked, source=str(self.path))
                mistake = f"found {type(row).__name__}"
            except ConfigError:
                raise
            except ValueError as error:
                mistake = str(error)
            first_mistake = first_mistake or f"line {number}: {mistake}"
        if first_mistake is not None:
            raise ConfigError(f"{self.path}: no line is a JSON object; one object a line is wanted ({first_mistake})")
        return Columns()  # an empty file has nothing to score, which is no mistake


def _decode(line: bytes) -> Any:
    """A line's value, else `ValueError` says why. Lone surrogates are refused: no service could be sent them."""
    if not line:
        raise ValueError("the line is empty")
    try:
        return msgspec.json.decode(line)
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not valid JSON: {_python_only(line) or error}") from None


def _python_only(line: bytes) -> str | None:
    """What is wrong with a line that Python's own json module would write and read."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return None
    return "it holds NaN, Infinity or half of a surrogate pair"
