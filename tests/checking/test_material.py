from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.checking.material import Material, read_material
from rayreward.errors import ConfigError
from rayreward.scoring import Columns


def read(folder: Path, rows: list[Any], *, limit: int = 100, by_group: bool = False, **asked: str) -> Material:
    path = folder / "data.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return read_material(path, Columns(**asked), limit=limit, by_group=by_group)


def test_samples_are_named_by_their_line_and_bad_lines_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, [{"response": "a"}, "broken", {"response": "b"}])
    assert found.names == ("line 1", "line 3")
    assert found.malformed == 1
    assert found.first_malformed is not None
    assert "data.jsonl line 2" in found.first_malformed


def test_a_file_without_responses_is_answered_by_its_labels(tmp_path: Path) -> None:
    found = read(tmp_path, [{"prompt": "2 + 2?", "label": 4}, {"prompt": "?", "label": {"a": 1}}])
    assert [(sample.response, sample.label) for sample in found.samples] == [("4", 4), ('{"a":1}', {"a": 1})]
    assert found.are_labels


def test_an_answer_alone_is_response_and_label(tmp_path: Path) -> None:
    found = read(tmp_path, [{"question": "2 + 2?", "answer": "4"}])
    assert (found.samples[0].response, found.samples[0].label, found.are_labels) == ("4", "4", True)


def test_responses_beside_labels_stay_what_they_are(tmp_path: Path) -> None:
    found = read(tmp_path, [{"response": "5", "label": "4"}])
    assert (found.samples[0].response, found.samples[0].label, found.are_labels) == ("5", "4", False)


def test_a_limit_takes_samples_from_all_over_the_file_always_the_same(tmp_path: Path) -> None:
    rows = [{"response": str(number)} for number in range(100)]
    first, second = read(tmp_path, rows, limit=10), read(tmp_path, rows, limit=10)
    assert first.samples == second.samples
    positions = [int(sample.response) for sample in first.samples]
    assert positions == sorted(positions)
    assert len(positions) == 10
    assert positions[-1] > 50


def test_groups_are_taken_whole(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{number % 5}", "response": str(number)} for number in range(20)]
    found = read(tmp_path, rows, limit=9, by_group=True)
    assert sorted(len(unit) for unit in found.units) == [4, 4]
    assert len(read(tmp_path, rows, limit=1, by_group=True).samples) == 4, "one group at least"


def test_a_file_that_holds_nothing_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column holds a response"):
        read(tmp_path, [{"x": 1}])
    with pytest.raises(ConfigError, match="holds no sample"):
        read(tmp_path, [{"response": None}])
    with pytest.raises(ConfigError, match="it is empty"):
        read(tmp_path, [])
    with pytest.raises(ConfigError, match="--response-key 'y'"):
        read(tmp_path, [{"label": 1}], response="y")
