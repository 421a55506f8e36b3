from __future__ import annotations

import cloudpickle

from rayreward import RewardFunction
from rayreward.checking.timed import CPU_S, WALL_S, TimedReward
from tests.checking.subjects import SUMS, last_word


def test_a_timed_reward_scores_as_its_own_does_and_says_what_it_took() -> None:
    inner = RewardFunction(func=last_word)
    timed: TimedReward = cloudpickle.loads(cloudpickle.dumps(TimedReward(inner)))
    outputs = timed.score(SUMS)
    assert [output.score for output in outputs] == [output.score for output in inner.score(SUMS)]
    assert all(output.metadata[WALL_S] > 0 and output.metadata[CPU_S] >= 0 for output in outputs)
    assert timed.version == inner.version
    assert (timed.is_async, timed.scores_batches, timed.compares_groups) == (False, False, False)


def test_failures_pass_through() -> None:
    def raises(response: str) -> float:
        raise ValueError(response)

    [output] = TimedReward(RewardFunction(func=raises)).score(SUMS[:1])
    assert output.failure is not None
    assert "ValueError: It is" in output.failure.message
