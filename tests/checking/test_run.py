from __future__ import annotations

from pathlib import Path

import pytest

from rayreward import RewardFunction
from rayreward.checking.check import CheckOptions
from rayreward.checking.run import check_file, reward_of
from rayreward.errors import ConfigError
from rayreward.rewards import LengthReward
from tests.checking.rewards_to_check import Ending, last_word


def test_a_reward_is_whatever_can_be_made_into_one() -> None:
    made = RewardFunction(func=last_word)
    assert reward_of(made) is made
    assert reward_of(last_word).name == "last_word"
    assert isinstance(reward_of("length", {"target": 3}), LengthReward)
    ending = reward_of(Ending, {"mark": "!"})
    assert isinstance(ending, Ending)
    assert ending.mark == "!"
    assert reward_of(lambda response, at: at, {"at": 2})(response="").score == 2.0
    with pytest.raises(ConfigError, match="made already"):
        reward_of(made, {"a": 1})


async def test_a_file_is_checked_also_where_an_event_loop_runs(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"response": "it is 4", "label": "4"}\n{"response": "5", "label": "4"}\n')
    options = CheckOptions(skip=("hostile", "hacks", "speed", "determinism"))
    report = check_file(reward_of(last_word), tmp_path / "data.jsonl", options, limit=1)
    assert (report.ok, report.samples) == (True, 1)
