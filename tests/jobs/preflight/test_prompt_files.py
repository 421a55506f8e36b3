import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight import prompt_files
from rayreward.jobs.preflight.prompt_files import UnreadableRowError, count_rows, find_data_files, read_rows

ROWS = [{"input": str(number), "label": number} for number in range(5)]


FORMS = ("jsonl", "blank lines", "list in a jsonl", "indented list", "csv", "parquet", "arrow", "stream")


@pytest.fixture(params=FORMS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same five rows in every form that the trainers read."""
    lines = [json.dumps(row) for row in ROWS]
    texts = {
        "jsonl": ("p.jsonl", "\n".join(lines)),
        "blank lines": ("p.jsonl", "\n\n".join(lines) + "\n\n"),
        "list in a jsonl": ("p.jsonl", json.dumps(ROWS)),
        "indented list": ("p.json", json.dumps(ROWS, indent=2)),
        "csv": ("p.csv", "input,label\n" + "".join(f"{row['input']},{row['label']}\n" for row in ROWS)),
    }
    if request.param in texts:
        name, text = texts[request.param]
        (tmp_path / name).write_text(text)
        return tmp_path / name
    return write_table(tmp_path / f"p.{'parquet' if request.param == 'parquet' else 'arrow'}", request.param)


def write_table(path: Path, form: str) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pylist(ROWS)
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
        return path
    open_writer = pyarrow.ipc.new_stream if form == "stream" else pyarrow.ipc.new_file
    with open_writer(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def test_every_form_has_the_same_rows(file: Path) -> None:
    rows = list(read_rows(file))

    assert [row.where for row in rows] == [f"row {number}" for number in range(1, 6)]
    assert [{**row.values, "label": int(row.values["label"])} for row in rows] == ROWS
    assert count_rows(file) == 5


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.jsonl", b'{"input": "a"}\n{"input": \n', "row 2 cannot be read"),
        ("p.jsonl", b'{"input": "\xff"}\n', "row 1 cannot be read"),
        ("p.json", b'[{"input": "a"},\n', "starts as a list and is no JSON"),
        ("p.csv", b"input,label\na,1,2\n", "row 1 has more fields than the header has names"),
        ("p.csv", b"input\n\xff\n", "cannot be read"),
        ("p.parquet", b"no table at all", r"is no \.parquet file"),
        ("p.arrow", b"no table at all", r"is no \.arrow file"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    if name.endswith(("parquet", "arrow")):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnreadableRowError, match=expected):
        list(read_rows(path))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_large_file_is_read_at_its_start_and_here_and_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(prompt_files, "CHECKED_ROWS", 10)
    path, rows = tmp_path / f"p.{suffix}", [{"input": f"{number:04}"} for number in range(1000)]
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)

    numbers = [int(row.values["input"]) for row in read_rows(path)]

    assert numbers[:10] == list(range(10))
    assert 60 <= len(numbers[10:]) <= 66
    assert max(later - earlier for earlier, later in pairwise(numbers)) < 40
    assert max(numbers) > 960


def test_a_broken_line_far_down_a_large_file_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_files, "CHECKED_ROWS", 1)
    path = tmp_path / "p.jsonl"
    path.write_text('{"input": "a"}\n' * 3 + '{"input": \n' * 100)

    with pytest.raises(UnreadableRowError, match="the line at byte 45 cannot be read"):
        list(read_rows(path))


def test_a_file_that_is_too_large_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_files, "COUNTED_BYTES", 3)
    path = tmp_path / "p.jsonl"
    path.write_text('{"input": "a"}\n')

    assert count_rows(path) is None


def saved(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    state: Any = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))


def test_a_data_set_that_was_saved_names_its_files(tmp_path: Path) -> None:
    saved(tmp_path / "one", "data-0.arrow", "data-1.arrow")
    saved(tmp_path / "two" / "train", "data-0.arrow")

    assert [path.name for path in find_data_files(tmp_path / "one", "train")] == ["data-0.arrow", "data-1.arrow"]
    assert find_data_files(tmp_path / "two", "train") == [tmp_path / "two" / "train" / "data-0.arrow"]


def test_files_of_a_folder_are_those_of_the_split_where_their_names_say_so(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "test-0.jsonl", "dataset_infos.json", "README.md"):
        (tmp_path / name).touch()

    assert [path.name for path in find_data_files(tmp_path, "train")] == ["train-0.jsonl"]
    assert [path.name for path in find_data_files(tmp_path, "other")] == ["test-0.jsonl", "train-0.jsonl"]
