from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.trl.prompts import load_prompts
from rayreward.jobs.trl.spec import DataSpec

pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = [{"input": f"{n} + 1 = ?", "answer": str(n + 1), "level": n, "completion": "old"} for n in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def rows(file: Path, **fields: Any) -> list[dict[str, Any]]:
    return list(load_prompts(DataSpec(prompts=str(file), **fields)))


def test_prompt_and_label_get_their_names_and_other_columns_stay(file: Path) -> None:
    found = rows(file, label_key="answer", max_samples=2)
    assert found == [
        {"prompt": "0 + 1 = ?", "label": "1", "level": 0},
        {"prompt": "1 + 1 = ?", "label": "2", "level": 1},
    ]


def test_texts_become_chats_where_asked(file: Path) -> None:
    assert rows(file, apply_chat_template=True)[0]["prompt"] == [{"role": "user", "content": "0 + 1 = ?"}]


def test_a_saved_data_set_is_read_from_its_folder(file: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    assert len(rows(tmp_path / "saved")) == 3


def test_what_is_not_there_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.label_key: .*prompts.jsonl has no column 'label'; it has .*answer"):
        rows(file, label_key="label")
    with pytest.raises(ConfigError, match="does not exist on this machine"):
        rows(tmp_path / "none.jsonl")
    (tmp_path / "prompts.txt").write_text("")
    with pytest.raises(ConfigError, match=r"ends in none of \.jsonl"):
        load_prompts(DataSpec(prompts=str(tmp_path / "prompts.txt")))
