from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward.errors import RolloutError, ServiceUnavailableError
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.prescale import ReplicaRange
from rayreward.router.rollout import Rollout
from rayreward.router.shadows import telling
from rayreward.router.terms import Terms
from rayreward.router.versions import VersionedLane
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from rayreward.wire import VersionsChangeBody as Change
from tests.router.stages import Stage, samples, turns

TERMS = Terms(caller="ppo")
PROMPTS = [Sample(prompt=f"p{number % 40}", response=f"{number}") for number in range(160)]


def lane(version: str, *, is_loaded: bool = True, **options: Any) -> tuple[Lane, Stage]:
    stage = Stage(answer=lambda _: RewardOutput(1.0 if version == "v1" else 2.0, version=version), **options)
    opened = open_lane(stage, slot_count=4, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock())
    if is_loaded:
        opened.learn(RewardFacts(version))
    return opened, stage


def versioned(rollout: Rollout, *, keep: Any = None, **options: Any) -> tuple[VersionedLane, Stage, Stage]:
    (base, base_stage), (candidate, candidate_stage) = lane("v1"), lane("v2", **options)
    kept = {} if keep is None else {"keep": keep}
    return VersionedLane(base, candidate, rollout, tell=telling(None, "r"), **kept), base_stage, candidate_stage


class TestScoring:
    @pytest.mark.parametrize(("rollout", "version"), [(Rollout(), "v1"), (Rollout("candidate"), "v2")])
    async def test_without_shares_the_live_version_scores_everything(self, rollout: Rollout, version: str) -> None:
        both, *_ = versioned(rollout)
        outputs = await both.score(PROMPTS, TERMS)
        assert {output.version for output in outputs} == {version}

    async def test_a_canary_scores_its_prompts_in_order_and_siblings_never_split(self) -> None:
        both, base, candidate = versioned(Rollout(canary_percent=50))
        outputs = await both.score(PROMPTS, TERMS)
        assert [output.score for output in outputs] == [1.0 if output.version == "v1" else 2.0 for output in outputs]
        by_prompt: dict[str, set[str | None]] = {}
        for sample, output in zip(PROMPTS, outputs, strict=True):
            by_prompt.setdefault(sample.prompt, set()).add(output.version)
        assert all(len(versions) == 1 for versions in by_prompt.values())
        assert {version for versions in by_prompt.values() for version in versions} == {"v1", "v2"}
        assert sorted(int(response) for batch in (*base.asked, *candidate.asked) for response in batch) == list(
            range(160)
        )

    async def test_siblings_that_are_asked_one_by_one_meet_the_version_of_the_others(self) -> None:
        both, *_ = versioned(Rollout(canary_percent=50))
        together = await both.score(PROMPTS, TERMS)
        alone = [await both.score([sample], TERMS) for sample in PROMPTS[:40]]
        assert [output.version for [output] in alone] == [output.version for output in together[:40]]

    async def test_a_shadow_is_compared_and_neither_returned_nor_waited_for(self) -> None:
        both, base, candidate = versioned(Rollout(shadow_percent=100), is_held=True)
        outputs = await both.score(PROMPTS, TERMS)
        assert {output.version for output in outputs} == {"v1"}
        assert both.versions("r").shadow.compared_count == 0
        candidate.release()
        await turns(20)
        shadow = both.versions("r").shadow
        assert (shadow.version, shadow.compared_count, shadow.mean_absolute_difference, shadow.equal_share) == (
            "v2", 160, 1.0, 0.0,
        )  # fmt: skip
        assert sum(map(len, base.asked)) == sum(map(len, candidate.asked)) == 160

    async def test_a_caller_that_leaves_takes_both_parts_along(self) -> None:
        both, _, candidate = versioned(Rollout(canary_percent=50), is_held=True)
        asking = asyncio.create_task(both.score(PROMPTS, TERMS))
        await turns()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        candidate.release()
        await turns()
        assert [one.in_flight_count for one in both.all_stats("r")] == [0, 0]

    async def test_a_candidate_that_is_lost_costs_its_own_prompts_only(self) -> None:
        async def lost(_batch: list[Sample]) -> Sequence[RewardOutput]:
            raise ServiceUnavailableError("lost")

        (base, _), gone = (
            lane("v1"),
            open_lane(lost, slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock()),
        )
        gone.learn(RewardFacts("v2"))
        both = VersionedLane(base, gone, Rollout(canary_percent=50), tell=telling(None, "r"))
        outputs = await both.score(PROMPTS, TERMS)
        assert {output.version or (output.failure and output.failure.kind.value) for output in outputs} == {
            "v1", "unavailable",
        }  # fmt: skip

    async def test_closed_nothing_is_under_way(self) -> None:
        both, *_ = versioned(Rollout(shadow_percent=100), is_held=True)
        await both.score(samples("a"), TERMS)
        await turns()
        await both.close()
        await turns()
        assert len(asyncio.all_tasks()) == 1


class TestChanges:
    async def test_promoted_and_rolled_back_the_next_call_meets_the_other(self) -> None:
        both, *_ = versioned(Rollout(canary_percent=10))
        promoted = await both.change("r", Change("promote"))
        assert (promoted.live.version, promoted.candidate, promoted.previous.version) == ("v2", None, "v1")
        assert [output.version for output in await both.score(samples("a"), TERMS)] == ["v2"]
        back = await both.change("r", Change("roll_back"))
        assert (back.live.name, back.candidate.name, back.previous) == ("r", "r.candidate", None)
        assert [output.version for output in await both.score(samples("a"), TERMS)] == ["v1"]

    async def test_what_is_under_way_ends_with_its_own_version(self) -> None:
        (base, stage), (candidate, _) = lane("v1", is_held=True), lane("v2")
        both = VersionedLane(base, candidate, Rollout(), tell=telling(None, "r"))
        asking = asyncio.create_task(both.score(samples("a"), TERMS))
        await turns()
        await both.change("r", Change("promote"))
        stage.release()
        assert [output.version for output in await asking] == ["v1"]

    async def test_a_candidate_that_is_not_ready_is_neither_promoted_nor_given_prompts(self) -> None:
        both, *_ = versioned(Rollout(), is_loaded=False)
        for change in (Change("promote"), Change("set", canary_percent=1)):
            with pytest.raises(RolloutError, match="reward 'r': its candidate is starting"):
                await both.change("r", change)
        assert (await both.change("r", Change("set", shadow_percent=5))).shadow_percent == 5

    async def test_a_change_is_kept_before_it_is_made(self) -> None:
        kept: list[Rollout] = []

        async def keep(rollout: Rollout) -> None:
            if kept:
                raise ServiceUnavailableError("no disk")
            kept.append(rollout)

        both, *_ = versioned(Rollout(), keep=keep)
        await both.change("r", Change("promote"))
        assert kept == [Rollout("candidate")]
        with pytest.raises(ServiceUnavailableError):
            await both.change("r", Change("roll_back"))
        assert both.versions("r").live.version == "v2"

    async def test_a_promotion_ends_the_comparison(self) -> None:
        both, *_ = versioned(Rollout(shadow_percent=100))
        await both.score(samples("a"), TERMS)
        await turns(20)
        assert both.versions("r").shadow.compared_count == 1
        assert (await both.change("r", Change("promote"))).shadow.compared_count == 0


def test_the_service_is_ready_when_all_that_answers_is() -> None:
    for rollout, is_ready in ((Rollout(), True), (Rollout(canary_percent=1), False), (Rollout("candidate"), False)):
        both, *_ = versioned(rollout, is_loaded=False)
        assert both.is_ready is is_ready
        assert both.info("r").state == ("ready" if is_ready else "starting")


def test_a_live_version_that_sleeps_holds_up_no_service_and_is_woken_like_any_other() -> None:
    policy = LanePolicy(replicas=ReplicaRange(0, 4, fixed_by=None))
    base = open_lane(Stage(), slot_count=1, limits=BatchLimits(), policy=policy, now=ManualClock())
    (candidate, _) = lane("v2", is_loaded=False)
    both = VersionedLane(base, candidate, Rollout(), tell=telling(None, "r"))
    assert (both.is_ready, both.can_sleep, both.info("r").state) == (False, True, "idle")
    assert both.prescale("r", 3, for_s=60.0).granted == 3
    assert base.wishes.current.replicas == 3
    canary = VersionedLane(base, candidate, Rollout(canary_percent=1), tell=telling(None, "r"))
    assert (canary.can_sleep, canary.info("r").state) == (False, "starting")


def test_it_says_of_itself_that_there_are_two() -> None:
    both, *_ = versioned(Rollout(canary_percent=10))
    info = both.info("r")
    assert (info.name, info.state, info.version) == ("r", "ready", "v1")
    assert info.extra == {"live": "base", "candidate_version": "v2", "canary_percent": 10, "shadow_percent": 0}
    assert [one.reward for one in both.all_stats("r")] == ["r", "r.candidate"]


async def test_a_reward_without_a_candidate_has_one_version_and_says_how_to_add_another() -> None:
    one, _ = lane("v1")
    assert (one.versions("r").live.version, one.versions("r").shadow) == ("v1", None)
    with pytest.raises(RolloutError, match=r"reward 'r' has one version.*'candidate' in its spec"):
        await one.change("r", Change("promote"))
