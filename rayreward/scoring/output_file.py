"""The outputs of an offline scoring, on disk and resumable.

What arrives: rows with their outputs, in order. What leaves: one line a row: its line number and id, the digest of the
input line, and the output as the native API writes it. What it promises: lines are only ever appended, in order; a
line that a kill tore is cut off and scored again; a file made from other data, by another version of the reward, or by
another program is refused before anything is scored, and left as it was.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from rayreward.errors import ConfigError, RayRewardError
from rayreward.scoring.data_file import DataFile, Row
from rayreward.scoring.tally import Tally
from rayreward.types import RewardOutput
from rayreward.wire import FailureBody, encode, output_body


class WrittenLine(msgspec.Struct):
    """What is read back of an output line."""

    line: int
    input: str
    score: float | None
    failure: FailureBody | None
    version: str | None


class OutputFile:
    """An output file, open for appending by this process alone. Use it as a context manager.

    Args:
        path: made, with its folder, where it is missing.
        data: what it must have been made from, where it has lines already.

    Raises:
        ConfigError: it belongs to other data, is no output file, or another process writes it.

    Attributes:
        tally: of all lines in the file.
        resumed: lines that were there already.
    """

    def __init__(self, path: Path, data: DataFile) -> None:
        self.path, self._data = path, data
        self.tally = Tally()
        self._is_version_checked = False
        self._file = _open_alone(path, data)
        try:
            end_bytes = self._read_back(data.digests())
            self._file.truncate(end_bytes)
            self._file.seek(end_bytes)
        except BaseException:
            self._file.close()
            raise
        self.resumed = self.tally.samples

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def check_version(self, version: str | None) -> None:
        """Refuse to go on with another version of the reward than the one that the file was begun with.

        Raises:
            ConfigError: it is another one.
        """
        if self.resumed and version is not None and self.tally.versions and version not in self.tally.versions:
            begun = ", ".join(sorted(self.tally.versions))
            raise ConfigError(
                f"{self.path}: its {self.resumed} lines were scored by version {begun} of the reward, which is now "
                f"{version}; give another --out, or delete the file to score everything again"
            )

    def append(self, rows: Sequence[Row], outputs: Sequence[RewardOutput]) -> None:
        """Write one line a row.

        Raises:
            ConfigError: the reward has changed since the file was begun.
            RayRewardError: the disk refuses.
        """
        if not self._is_version_checked:
            versions = [output.version for output in outputs if output.version is not None]
            self.check_version(versions[0] if versions else None)
            self._is_version_checked = bool(versions)
        lines = [_encode_line(row, output) for row, output in zip(rows, outputs, strict=True)]
        try:
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            raise RayRewardError(f"{self.path}: cannot be written: {error.strerror}; mend it and run again") from error
        for output in outputs:
            kind = None if output.failure is None else output.failure.kind.value
            self.tally.add(output.score, kind, output.version)

    def _read_back(self, digests: Iterator[str]) -> int:
        """Check and count what is there; returns where the last whole line ends."""
        end_bytes = 0
        for number, line in enumerate(self._file, 1):
            written = _decode_line(line)
            if written is None and not self._file.read(1):
                break  # torn by a kill
            if written is None or written.line != number:
                raise ConfigError(
                    f"{self.path}: line {number} is no output of 'rayreward score'; give another --out, or delete it"
                )
            if written.input != next(digests, None):
                raise ConfigError(
                    f"{self.path}: line {number} was scored from other data than line {number} of {self._data.path} "
                    f"(read with {self._data.columns}); give another --out, or delete the file to score again"
                )
            self.tally.add(written.score, written.failure.kind if written.failure else None, written.version)
            end_bytes += len(line)
        return end_bytes


def _open_alone(path: Path, data: DataFile) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.samefile(data.path):
            raise ConfigError(f"--out {path} is the data itself; give it another name")
        file = path.open("a+b")
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(f"--out {path}: another process is writing it; wait for it, or give another --out") from None
    file.seek(0)
    return file


def _decode_line(line: bytes) -> WrittenLine | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=WrittenLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _encode_line(row: Row, output: RewardOutput) -> bytes:
    body = msgspec.structs.asdict(output_body(output))
    return encode({"line": row.number, "id": row.id, "input": row.digest, **body}) + b"\n"
