from __future__ import annotations

import pickle

from rayreward.condition import Condition
from rayreward.rewards import CompositeReward
from rayreward.testing import ScriptedReward


def test_a_reward_without_a_model_says_nothing() -> None:
    assert ScriptedReward().serving_condition == Condition()


def test_parts_tell_together() -> None:
    one = Condition(lost="CUDA error", step_tokens=4096, found={"load_s": 1.0})
    whole = Condition.of_all({"rules": Condition(), "quality": one, "style": Condition("warming up", step_tokens=64)})
    assert whole == Condition("style: warming up", "quality: CUDA error", 4096, {"quality": {"load_s": 1.0}})
    assert pickle.loads(pickle.dumps(whole)) == whole


def test_a_composite_tells_of_its_parts_and_unloads_them() -> None:
    class Modelled(ScriptedReward):
        unloaded_count = 0

        def unload(self) -> None:
            self.unloaded_count += 1

        @property
        def serving_condition(self) -> Condition:
            return Condition("loading weights")

    part = Modelled()
    composite = CompositeReward({"quality": part, "rules": ScriptedReward()})
    assert composite.serving_condition.doing == "quality: loading weights"
    composite.unload()
    assert part.unloaded_count == 1
