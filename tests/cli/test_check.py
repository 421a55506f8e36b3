from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

REWARDS = """
def last_word(response, label):
    print("a reward may print what it likes", flush=True)
    return float(response.split()[-1:] == [label])

def length(response):
    return min(1.0, len(response) / 5)
"""


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "rewards.py").write_text(REWARDS)
    rows = [{"prompt": f"{n} + 1?", "response": f"it is {n + 1 + n % 2}", "label": str(n + 1)} for n in range(10)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "labels.jsonl").write_text('{"prompt": "2 + 2?", "label": 4}\n{"prompt": "3 + 3?", "label": 6}\n')
    return folder


def test_a_sound_reward_exits_0_and_says_what_was_looked_at(run: Run, files: Path) -> None:
    ended = run("check", "rewards.py::last_word", "--data", "data.jsonl")
    assert ended.code == 0, ended.out
    assert "last_word: nothing is wrong" in ended.out
    assert "trying cheap answers" in ended.err


def test_a_reward_that_can_be_talked_into_a_point_exits_1_with_the_table(run: Run, files: Path) -> None:
    ended = run("check", "rewards.py::length", "--data", "data.jsonl", "--quiet")
    assert ended.code == 1
    assert "a long text that says nothing" in ended.out
    assert "length: wrong: hacks" in ended.out
    assert ended.err == ""
    assert run("check", "rewards.py::length", "--data", "data.jsonl", "--threshold", 9, "--limit", 3).code == 0


def test_json_is_all_that_stdout_holds(run: Run, files: Path) -> None:
    ended = run("check", "rewards.py::last_word", "--data", "data.jsonl", "--json", "--skip", "hostile")
    report = json.loads(ended.out)
    assert (report["ok"], report["samples"], report["range"]["mean"]) == (True, 10, 0.5)
    assert report["hostile"] == []


def test_a_built_in_takes_arguments_and_labels_serve_as_responses(run: Run, files: Path) -> None:
    ended = run("check", "keyword", "--data", "labels.jsonl", "--arg", 'required=["4"]', "--skip", "hacks", "--json")
    assert json.loads(ended.out)["responses"] == "labels"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rewards.py", "--data", "data.jsonl"], "has 2 rewards; say which"),
        (["lenght", "--data", "data.jsonl"], "did you mean 'length'?"),
        (["rewards.py::length", "--data", "none.jsonl"], "cannot be read"),
        (["rewards.py::length", "--data", "data.jsonl", "--skip", "hack"], "did you mean 'hacks'?"),
        (["rewards.py::length", "--data", "data.jsonl", "--arg", "3"], "is not of the form key=value"),
        (["rewards.py::length", "--data", "data.jsonl", "--label-key", "x"], "found the columns"),
        (["rewards.py::length"], "--data"),
    ],
)
def test_a_mistake_in_the_call_exits_2_and_names_the_remedy(
    run: Run, files: Path, words: list[str], message: str
) -> None:
    ended = run("check", *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
