"""What the router must know of a reward to treat its samples rightly.

What arrives: a reward, where it is loaded. What leaves: its facts, which travel from a replica to the router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayreward.condition import Condition
from rayreward.function import RewardFunction

STEPS_A_CALL = 4
"""Of a model, by the router's estimate: from characters, and with a prompt counted once for each of its samples where
the model computes it once. With eight samples a prompt those are one and a half. Siblings wait together
(`router/batching.py`), and are parted only where a call cannot hold them; larger calls make the first answers wait, and
spread worse over replicas."""


@dataclass(frozen=True, slots=True)
class RewardFacts:
    """One reward, as a replica describes it.

    Attributes:
        version: which content these facts are of.
        is_reusable: whether one score should serve every asker of the same sample: it is always the same, and costs
            more than to look it up. An inline reward, of microseconds, does not; one that awaits an answer, of a judge
            or of another service, does.
        compares_groups: whether all samples of a prompt must be seen together.
        scores_one_by_one: whether a sample's failure can only be its own, and not its whole call's.
        counts_by_run: whether it wants to know which run asks, for what that may spend.
        knows_each: whether the samples of a call are known one after the other, and not all together.
        takes_turns: whether a replica's second call waits there for its first.
        call_tokens: that one call should carry, of a reward whose model computes in steps; None where none counts.
        found: what loading has found, for people.
        crash_loop: what is wrong, while its processes end again and again without an answer between, or its model is
            lost.
        reload_failure: why the latest configuration is not served and these facts are of an older one.
    """

    version: str
    description: str | None = None
    is_reusable: bool = False
    compares_groups: bool = False
    scores_one_by_one: bool = True
    counts_by_run: bool = False
    knows_each: bool = True
    takes_turns: bool = False
    call_tokens: int | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    crash_loop: str | None = None
    reload_failure: str | None = None

    @classmethod
    def of(
        cls,
        reward: RewardFunction,
        version: str,
        *,
        process_count: int = 1,
        crash_loop: str | None = None,
        reload_failure: str | None = None,
    ) -> RewardFacts:
        """The facts of a loaded reward; `process_count` is how many killable processes a replica has for it."""
        condition = reward.serving_condition
        is_each_a_process_call = reward.isolation == "process" and reward.scores_one_by_one
        is_one_process = reward.isolation == "process" and not reward.parts_run_apart
        takes_turns = process_count == 1 if is_one_process else reward.scores_in_turn
        return cls(
            version=version,
            description=reward.description,
            is_reusable=reward.deterministic
            and not reward.compares_groups
            and (reward.isolation != "inline" or reward.is_async),
            compares_groups=reward.compares_groups,
            scores_one_by_one=reward.scores_one_by_one,
            counts_by_run=reward.counts_by_run,
            knows_each=reward.answers_each or reward.parts_run_apart or is_each_a_process_call,
            takes_turns=takes_turns,
            call_tokens=call_tokens(condition),
            found=condition.found,
            crash_loop=crash_loop or condition.lost,
            reload_failure=reload_failure,
        )


def call_tokens(condition: Condition) -> int | None:
    """What one call should carry, for a reward in this condition."""
    return None if condition.step_tokens is None else STEPS_A_CALL * condition.step_tokens
