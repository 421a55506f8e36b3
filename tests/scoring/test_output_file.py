from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.scoring import Columns, DataFile, OutputFile
from rayreward.types import FailureKind, RewardOutput


@pytest.fixture
def data(tmp_path: Path) -> DataFile:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"id": number, "response": f"r{number}"}) + "\n" for number in range(5)))
    return DataFile(path, Columns())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out.jsonl"


def write(path: Path, data: DataFile, count: int, *, version: str = "v1") -> None:
    """Append `count` scored lines."""
    with OutputFile(path, data) as out:
        rows = list(data.rows(skip=out.resumed))[:count]
        out.append(rows, [RewardOutput(float(row.number), version=version) for row in rows])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_number_id_and_the_output_as_the_service_writes_it(path: Path, data: DataFile) -> None:
    with OutputFile(path, data) as out:
        row = next(data.rows())
        out.append([row], [RewardOutput.failed(FailureKind.TIMEOUT, "too late", version="v1")])
    [line] = lines(path)
    assert (line["line"], line["id"], line["score"], line["version"]) == (1, "0", None, "v1")
    assert line["failure"] == {"kind": "timeout", "message": "too late", "component": None}


def test_a_second_call_goes_on_after_the_lines_that_are_there_and_counts_them(path: Path, data: DataFile) -> None:
    write(path, data, 3)
    with OutputFile(path, data) as out:
        assert (out.resumed, out.tally.scored) == (3, 3)
    write(path, data, 2)
    assert [line["line"] for line in lines(path)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_a_kill_tore_is_written_again(path: Path, data: DataFile, kept: int) -> None:
    write(path, data, 2)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole[: -len(last)] + last[:kept])
    write(path, data, 1)
    assert path.read_bytes() == whole


def test_a_last_line_of_zeros_as_a_power_cut_leaves_it_is_written_again(path: Path, data: DataFile) -> None:
    write(path, data, 2)
    path.write_bytes(path.read_bytes() + b"\x00" * 50 + b"\n")
    write(path, data, 3)
    assert [line["line"] for line in lines(path)] == [1, 2, 3, 4, 5]


def test_outputs_of_other_data_are_refused_and_left_alone(path: Path, data: DataFile) -> None:
    write(path, data, 3)
    before = path.read_bytes()
    data.path.write_text(data.path.read_text().replace("r1", "edited"))
    with pytest.raises(ConfigError, match=r"line 2 was scored from other data.*another --out"):
        OutputFile(path, data)
    assert path.read_bytes() == before


def test_more_outputs_than_data_are_refused(path: Path, data: DataFile) -> None:
    write(path, data, 5)
    data.path.write_text("".join(data.path.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(ConfigError, match="line 5 was scored from other data"):
        OutputFile(path, data)


def test_the_same_data_read_by_other_columns_are_other_data(path: Path, data: DataFile) -> None:
    write(path, data, 1)
    with pytest.raises(ConfigError, match="read with response=id"):
        OutputFile(path, DataFile(data.path, Columns(response="id")))


def test_a_file_of_something_else_is_refused_and_left_alone(path: Path, data: DataFile) -> None:
    path.parent.mkdir()
    path.write_text('{"precious": 1}\n{"precious": 2}\n')
    with pytest.raises(ConfigError, match="line 1 is no output of 'rayreward score'"):
        OutputFile(path, data)
    assert "precious" in path.read_text()


def test_the_data_itself_cannot_be_the_output(data: DataFile) -> None:
    with pytest.raises(ConfigError, match="is the data itself"):
        OutputFile(data.path, data)


def test_another_version_of_the_reward_cannot_go_on(path: Path, data: DataFile) -> None:
    write(path, data, 2)
    with OutputFile(path, data) as out:
        out.check_version("v1")
        out.check_version(None)
        with pytest.raises(ConfigError, match=r"its 2 lines were scored by version v1.*now v2.*--out"):
            out.check_version("v2")


def test_a_version_that_shows_with_the_first_output_only_is_checked_then(path: Path, data: DataFile) -> None:
    write(path, data, 2)
    with pytest.raises(ConfigError, match="now v2"):
        write(path, data, 1, version="v2")
    assert len(lines(path)) == 2


def test_two_processes_cannot_write_one_file(path: Path, data: DataFile) -> None:
    with OutputFile(path, data), pytest.raises(ConfigError, match="another process is writing it"):
        OutputFile(path, data)
