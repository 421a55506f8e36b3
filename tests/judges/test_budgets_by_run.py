from __future__ import annotations

from rayreward import Sample
from rayreward.client.run import RunClient
from rayreward.judges.judge import LLMJudge
from rayreward.judges.scripted import ScriptedEndpoint
from rayreward.testing import served


async def test_what_a_served_judge_spends_is_counted_by_the_run_that_asks() -> None:
    judge = LLMJudge("m", "Rate it.", endpoint=ScriptedEndpoint(lambda question: "Score: 10"))
    async with served({"judge": judge}) as service:
        for run, count in (("first", 2), ("second", 1)):
            asked = [Sample(response=f"{run} {number}") for number in range(count)]
            outputs = await RunClient(service.client, reward="judge", run=run).ascore(asked, step=1)
            assert [output.score for output in outputs] == [1.0] * count
    ledger = judge.endpoint.ledger
    assert {run: ledger.spent(run).usage.requests for run in ledger.runs} == {"first": 2, "second": 1}
