"""Rewards that fail and graders that hang: their samples fail, and only theirs."""

from __future__ import annotations

import pytest

from tests.faults.load import Load
from tests.faults.served_rewards import HANGS_AT
from tests.faults.service import Service

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


async def test_a_reward_that_fails_every_third_call_costs_those_samples_and_trainers_learn_nothing_from_them(
    service: Service,
) -> None:
    async with Load(service.callers("thirds")) as load:
        await load.goes_on(60)
    load.ledger.check(may_fail={"error"}, may_fill=True)
    # One process counts all calls, so exactly every third one failed, whoever made it.
    assert load.ledger.total("filled") + load.ledger.failed().total() == load.ledger.total("sent") // 3


async def test_what_stands_in_for_a_failed_sample_is_the_mean_of_its_siblings(service: Service) -> None:
    [openrlhf] = service.callers("thirds", transports=("openrlhf own port",))
    for first in range(1_000_001, 1_000_061, 6):  # prompts that nobody else asks for
        answers = await openrlhf.ask(range(first, first + 6))
        valid = [answer.score for answer in answers if answer.is_valid and answer.score is not None]
        filled = [answer.score for answer in answers if not answer.is_valid]
        assert (len(valid), len(filled)) == (4, 2)
        assert filled == [pytest.approx(sum(valid) / 4)] * 2


async def test_a_hung_grader_costs_its_own_sample(service: Service) -> None:
    async with Load(service.callers("hanging")) as load:
        await load.goes_on(60)
    load.ledger.check(may_fail={"timeout"}, may_fill=True)
    hung = load.ledger.total("sent") // HANGS_AT
    assert load.ledger.total("filled") + load.ledger.failed().total() == hung > 0
