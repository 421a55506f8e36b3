from __future__ import annotations

from pathlib import Path

import pytest

from rayreward.errors import ConfigError
from rayreward.sample import Sample
from rayreward.scoring import Columns, DataFile
from rayreward.scoring.data_file import Row
from rayreward.types import RewardOutput

ROW = '{"prompt": "a", "response": "b"}\n'


def data_file(tmp_path: Path, content: str | bytes) -> DataFile:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DataFile(path, Columns())


def reason_of(row: Row) -> str:
    assert isinstance(row.item, RewardOutput)
    assert row.item.failure is not None
    return row.item.failure.message


def test_every_line_is_a_row_and_broken_ones_say_their_line_and_reason(tmp_path: Path) -> None:
    rows = list(data_file(tmp_path, f"{ROW}\nno json\n{ROW.strip()}").rows())
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert isinstance(rows[0].item, Sample)
    assert isinstance(rows[3].item, Sample)
    assert reason_of(rows[1]) == "data.jsonl line 2: the line is empty"
    assert reason_of(rows[2]).startswith("data.jsonl line 3: not valid JSON")


def test_what_only_python_writes_as_json_is_named(tmp_path: Path) -> None:
    rows = list(data_file(tmp_path, ROW + '{"prompt": "a", "response": "\\ud800"}\n{"response": NaN}\n').rows())
    assert all("NaN, Infinity or half of a surrogate pair" in reason_of(row) for row in rows[1:])


def test_a_broken_row_keeps_its_id(tmp_path: Path) -> None:
    [_, broken] = data_file(tmp_path, ROW + '{"id": 3}\n').rows()
    assert broken.id == "3"


def test_reading_goes_on_after_the_lines_that_are_skipped(tmp_path: Path) -> None:
    data = data_file(tmp_path, ROW * 3)
    assert [row.number for row in data.rows(skip=2)] == [3]
    assert [row.end_bytes for row in data.rows()][-1] == data.size_bytes


def test_digests_tell_lines_and_columns_apart(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "a", "response": "b", "other": "c"}\n{"prompt": "a", "response": "B"}\n')
    plain = list(DataFile(path, Columns()).digests())
    assert plain[0] != plain[1]
    assert plain == [row.digest for row in DataFile(path, Columns()).rows()]
    assert plain[0] != next(DataFile(path, Columns(response="other")).digests())


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    [row] = data_file(tmp_path, b"\xef\xbb\xbf" + ROW.encode()).rows()
    assert isinstance(row.item, Sample)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert list(data_file(tmp_path, "").rows()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"prompt": "a"}]', "is a JSON array"),
        (b"PAR1\x00\x01", "no line is a JSON object"),
        ("1\n2\n", r"no line is a JSON object.*line 1: found int"),
        ('{"text": "a"}\n', "found the columns text"),
    ],
)
def test_a_file_that_holds_no_samples_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data_file(tmp_path, content)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.jsonl: cannot be read: No such file"):
        DataFile(Path("nowhere.jsonl"), Columns())
