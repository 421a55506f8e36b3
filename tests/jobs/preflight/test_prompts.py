import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight.prompts import check_hub_prompts, check_prompts, count_prompts, sample_rows
from rayreward.jobs.trl.spec import TrlSpec
from tests.jobs.conftest import build_spec

HELLO = [{"role": "user", "content": "hello"}]


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check(path: Path | str, **data: Any) -> list[str]:
    findings = check_prompts(build_spec(data={"prompts": str(path), **data}))
    return [f"{'warning: ' if finding.is_warning else ''}{finding.found}" for finding in findings]


def test_good_prompts_have_no_findings(prompts: Path) -> None:
    assert check(prompts, label_key="label") == []


def test_prompts_on_a_hub_are_left_to_the_training_with_a_word_about_it() -> None:
    spec = build_spec(data={"prompts": "owner/name"})

    assert list(check_prompts(spec)) == []
    (finding,) = check_hub_prompts(spec)
    assert finding.is_warning
    assert "owner/name is on a hub" in finding.found


def test_every_one_of_several_sources_is_looked_at(prompts: Path) -> None:
    assert check(f"{prompts},/nowhere/b.jsonl, owner/name") == ["/nowhere/b.jsonl does not exist"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1], "a list instead of an object"),
        ({"input": 5, "label": "1"}, "'input' is a int"),
        ({"input": "", "label": "1"}, "'input' is empty"),
        ({"input": None, "label": "1"}, "no 'input'"),
        ({"input": HELLO, "label": "1"}, "is a list of messages"),
    ],
)
def test_a_row_that_the_training_would_stumble_over_is_found(tmp_path: Path, row: Any, expected: str) -> None:
    path = write(tmp_path / "p.jsonl", {"input": "a", "label": "1"}, row)

    (found,) = check(path, label_key="label")

    assert f"{path}, row 2: " in found
    assert expected in found


@pytest.mark.parametrize("wrong", ["hello", {"content": "hello"}, {"role": "user"}])
def test_a_chat_holds_messages_only(tmp_path: Path, wrong: Any) -> None:
    good, bad = write(tmp_path / "good.jsonl", {"input": HELLO}), write(tmp_path / "bad.jsonl", {"input": [wrong]})

    assert check(good, apply_chat_template=True) == []
    assert "which is no message" in check(bad, apply_chat_template=True)[0]


def test_labels_of_several_types_are_a_warning(tmp_path: Path) -> None:
    rows = [{"input": "a", "label": label} for label in ("1", "2", 3, 4.5)]

    (found,) = check(write(tmp_path / "p.jsonl", *rows), label_key="label")

    assert found.startswith("warning: ")
    assert "row 3: the label is a float, and a str in row 1" in found


def test_a_prompt_that_leaves_no_room_for_its_response_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"input": "word " * 2000})

    (found,) = check(path, max_len=2048)

    assert "warning" in found
    assert "a prompt of 10,000 characters" in found


def test_a_label_that_json_cannot_hold_is_found_where_it_travels_so(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"input": ["a"], "label": [b"raw"]}), tmp_path / "p.parquet")
    data = {"prompts": str(tmp_path / "p.parquet"), "label_key": "label"}

    (finding,) = check_prompts(build_spec(data=data, reward={"url": "http://r:1/get_reward"}))

    assert "'label' is a bytes that JSON cannot hold" in finding.found
    assert list(check_prompts(build_spec(data=data))) == [], "Ray carries anything"


def test_a_relative_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p.jsonl", {"input": "a"})

    assert check("./p.jsonl") == ["p.jsonl is relative, and a job starts in a working directory of its own"]


def test_a_split_that_a_saved_data_set_lacks_is_found(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))

    assert check(tmp_path, split="tset") == [f"{tmp_path} has no split 'tset'"]


def test_a_folder_without_data_is_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none yet")

    assert check(tmp_path) == [f"{tmp_path} holds no data files"]


def test_a_saved_data_set_that_is_damaged_is_found(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")

    assert "cannot be read: KeyError('_data_files')" in check(tmp_path)[0]


def test_prompts_are_counted_over_all_sources(tmp_path: Path, prompts: Path) -> None:
    more = write(tmp_path / "more.jsonl", {"input": "a"}, {"input": "b"})

    assert count_prompts(build_spec(data={"prompts": f"{prompts},{more}"})) == 3 + 2
    assert count_prompts(build_spec(data={"prompts": f"{prompts},owner/name"})) is None


def test_sampled_rows_are_the_first_the_last_and_others_at_even_distances(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *({"input": str(number)} for number in range(100)))
    spec = build_spec(data={"prompts": str(path)})

    assert [row["input"] for row in sample_rows(spec, 4)] == ["0", "33", "66", "99"]
    assert [row["input"] for row in sample_rows(build_spec(data={"prompts": "owner/name"}), 4)] == []


def test_trl_takes_chats_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"input": HELLO})
    data = {"name": "test", "model": {"path": "/m"}, "data": {"prompts": str(path)}}

    assert list(check_prompts(TrlSpec.parse(data, source="test.yaml"))) == []
