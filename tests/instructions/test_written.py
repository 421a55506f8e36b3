"""Every row of the data set parses; a response written for it is followed, an empty one is not.

A sample of the rows is in tests/data (its README names the licence). RAYREWARD_IFEVAL names a file with more of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rayreward.instructions.registry import CHECKS, read_instructions
from rayreward.rewards import InstructionFollowingReward
from tests.instructions.writer import write_response

SAMPLE = Path(__file__).parents[1] / "data" / "ifeval_sample.jsonl"
FILES = [SAMPLE, *(Path(path) for path in [os.environ.get("RAYREWARD_IFEVAL", "")] if path)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_sample_has_every_instruction() -> None:
    assert {name for row in rows_of(SAMPLE) for name in row["instruction_id_list"]} == set(CHECKS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_written_to_follow_follows(path: Path) -> None:
    written, unfollowed = 0, []
    for row in rows_of(path):
        response = write_response(row["instruction_id_list"], row["kwargs"])
        if response is None:
            continue
        written += 1
        for one in read_instructions(row["instruction_id_list"], row["kwargs"]):
            found = one.ask(response)
            if not found.is_followed:
                unfollowed.append((row["key"], one.id, found.reason))
    # A row may ask for what the writer's sentence cannot give: no letter e, a title in Korean with an English keyword.
    assert len({row[0] for row in unfollowed}) * 20 <= written, unfollowed
    assert written >= len(rows_of(path)) * 9 // 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("mode", ["strict", "loose"])
def test_an_empty_response_follows_nothing(path: Path, mode: Any) -> None:
    reward = InstructionFollowingReward(mode=mode)
    for row in rows_of(path):
        for response in ("", " \n"):
            output = reward(response=response, label=json.dumps(row))
            assert output.score == 0.0
            assert {metric.reason for metric in output.metrics.values()} == {"the response is empty"}
