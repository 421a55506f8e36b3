from __future__ import annotations

import pickle

import pytest

from rayreward.errors import InvalidInputError, RolloutError
from rayreward.router.rollout import Rollout, place_percent
from rayreward.sample import Sample
from rayreward.wire import VersionsChangeBody as Change

PROMPTS = [Sample(prompt=f"prompt {number}", response="") for number in range(2000)]


def slots(rollout: Rollout, caller: str = "ppo") -> list[str]:
    return [rollout.assign(caller, sample).slot for sample in PROMPTS]


class TestShares:
    def test_all_siblings_of_a_prompt_meet_one_version(self) -> None:
        rollout = Rollout(canary_percent=50, shadow_percent=25)
        for number in range(50):
            siblings = [Sample(prompt=f"p{number}", response=str(response)) for response in range(8)]
            assert len({rollout.assign("ppo", sample) for sample in siblings}) == 1

    def test_those_of_a_named_group_do_whatever_their_prompts_are(self) -> None:
        rollout = Rollout(canary_percent=50)
        for number in range(50):
            siblings = [Sample(prompt=prompt, response="a", group_id=f"g{number}") for prompt in "abcdef"]
            assert len({rollout.assign("ppo", sample) for sample in siblings}) == 1

    @pytest.mark.parametrize("percent", [0.0, 0.5, 10.0, 50.0, 100.0])
    def test_a_share_is_about_what_it_says(self, percent: float) -> None:
        found = slots(Rollout(canary_percent=percent)).count("candidate") / len(PROMPTS)
        assert found == pytest.approx(percent / 100, abs=0.03)
        assert percent not in (0.0, 100.0) or found == percent / 100

    def test_a_share_that_grows_takes_no_prompt_back(self) -> None:
        before, after = slots(Rollout(canary_percent=10)), slots(Rollout(canary_percent=30))
        assert all(now == "candidate" for then, now in zip(before, after, strict=True) if then == "candidate")

    def test_another_run_draws_other_prompts(self) -> None:
        assert slots(Rollout(canary_percent=50), "ppo-1") != slots(Rollout(canary_percent=50), "ppo-2")

    def test_the_choice_is_the_same_in_every_process(self) -> None:
        assert place_percent("ppo", Sample(prompt="2 + 2?", response="4")) == pytest.approx(12.66378, abs=1e-5)

    def test_what_the_candidate_answers_it_does_not_shadow_too(self) -> None:
        half = [Rollout(canary_percent=50, shadow_percent=50).assign("ppo", sample) for sample in PROMPTS]
        assert all(one.is_shadowed == (one.slot == "base") for one in half)
        everything = Rollout(canary_percent=100, shadow_percent=100)
        assert not any(everything.assign("ppo", sample).is_shadowed for sample in PROMPTS)

    def test_a_shadow_share_is_of_all_prompts(self) -> None:
        shadowed = [Rollout(canary_percent=10, shadow_percent=20).assign("ppo", one).is_shadowed for one in PROMPTS]
        assert shadowed.count(True) / len(PROMPTS) == pytest.approx(0.2, abs=0.03)


class TestChanges:
    def test_promoted_the_candidate_answers_everything_and_rolled_back_the_base_does(self) -> None:
        start = Rollout(canary_percent=10, shadow_percent=100)
        promoted = start.promote()
        assert (promoted.live, promoted.previous, promoted.is_split) == ("candidate", "base", False)
        assert set(slots(promoted)) == {"candidate"}
        back = promoted.roll_back()
        assert (back, back.previous) == (Rollout(), None)

    def test_promoting_twice_is_promoting_once(self) -> None:
        assert Rollout().promote().promote() == Rollout().promote()

    def test_without_a_promotion_nothing_is_rolled_back_and_the_canary_is_named(self) -> None:
        with pytest.raises(
            RolloutError, match=r"configured version is live, with a canary of 10 %.*canary_percent to 0"
        ):
            Rollout(canary_percent=10).roll_back()

    def test_shares_of_a_candidate_that_is_live_are_refused(self) -> None:
        with pytest.raises(RolloutError, match="found the candidate live already; roll it back first"):
            Rollout().promote().with_canary(10)
        with pytest.raises(RolloutError, match="a shadow share"):
            Rollout().promote().with_shadow(10)

    @pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
    def test_shares_are_percents(self, percent: float) -> None:
        with pytest.raises(InvalidInputError, match=r"canary_percent is a share .* from 0 to 100, found"):
            Rollout().with_canary(percent)

    def test_what_somebody_asks_for_is_one_of_these(self) -> None:
        assert Rollout(shadow_percent=5).changed(Change("set", canary_percent=10)) == Rollout("base", 10, 5)
        assert Rollout().changed(Change("set", canary_percent=1, shadow_percent=2)) == Rollout("base", 1, 2)
        assert Rollout().changed(Change("promote")) == Rollout("candidate")
        assert Rollout("candidate").changed(Change("roll_back")) == Rollout()

    def test_a_change_that_contradicts_itself_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="promote takes no canary_percent"):
            Rollout().changed(Change("promote", canary_percent=10))
        with pytest.raises(InvalidInputError, match="set needs canary_percent, shadow_percent or both"):
            Rollout().changed(Change("set"))


def test_a_rollout_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(Rollout("candidate"))) == Rollout("candidate")
