from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from rayreward import LocalClient, RewardFunction, Sample
from rayreward.errors import ConfigError, InvalidInputError, RewardLoadError, UnknownRewardError
from rayreward.testing import EXIT, HANG, ScriptedReward
from rayreward.types import RewardOutput
from tests.processes import children, is_gone
from tests.workers import hostile


def said(outputs: list[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def test_scores_by_name_in_order_and_stamps_the_version() -> None:
    with LocalClient(
        {"length": "length", "echo": ScriptedReward({"b": 0.25})}, arguments={"length": {"target": 1}}
    ) as client:
        outputs = client.score([{"response": "one"}, Sample(response="b")], reward="echo")
        assert said(outputs) == [1.0, 0.25]
        infos = {info.name: info for info in client.rewards()}
        assert outputs[0].version == infos["echo"].version
        assert infos["length"].state == "ready"
        assert said(client.score([{"response": "one"}])) == [1.0]
        assert client.score([], reward="echo") == []


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        LocalClient({})
    with LocalClient({"length": ScriptedReward()}) as client:
        with pytest.raises(UnknownRewardError, match="no reward 'lenght' here; did you mean 'length'"):
            client.score([{"response": "a"}], reward="lenght")
        for broken in ({"reponse": "a"}, {"response": 5}, "text", 3):
            with pytest.raises(InvalidInputError):
                client.score([broken])  # type: ignore[list-item]


def test_misbehaving_code_is_killed_and_costs_its_sample() -> None:
    reward = ScriptedReward({"hang": HANG, "exit": EXIT, "raise": ValueError("no")}, isolation="process", timeout_s=1.0)
    with LocalClient({"scripted": reward}, process_count=2) as client:
        outputs = client.score([{"response": text} for text in ("a", "hang", "exit", "raise", "b")])
    assert said(outputs) == [1.0, "timeout", "crashed", "error", 1.0]


def test_its_own_deadline_fails_what_has_no_answer_and_frees_the_process() -> None:
    with LocalClient({"scripted": ScriptedReward({"hang": HANG}, isolation="process")}) as client:
        client.score([{"response": "warm"}])
        assert said(client.score([{"response": "hang"}], timeout_s=0.05)) == ["timeout"]
        assert said(client.score([{"response": "a"}])) == [1.0]


async def test_a_cancelled_call_frees_the_process() -> None:
    async with LocalClient({"scripted": ScriptedReward({"hang": HANG}, isolation="process")}) as client:
        await client.ascore([{"response": "warm"}])
        task = asyncio.create_task(client.ascore([{"response": "hang"}]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert said(await client.ascore([{"response": "a"}])) == [1.0]


def test_threads_may_share_it() -> None:
    with LocalClient({"scripted": ScriptedReward(isolation="process")}, process_count=2) as client:
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda size=size: found.append(said(client.score([{"response": "a"}] * size))))
            for size in (1, 2, 3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [[1.0], [1.0] * 2, [1.0] * 3]


def test_a_reward_that_cannot_be_loaded_says_so_and_leaves_nothing(tmp_path: Any) -> None:
    before = children()
    with (
        LocalClient({"broken": hostile.BreaksAtLoad(once=str(tmp_path / "first"))}, process_count=2) as client,
        pytest.raises(RewardLoadError, match="no weights"),
    ):
        client.score([{"response": "a"}])
    assert children() <= before


async def test_closing_while_it_starts_leaves_no_process() -> None:
    before = children()
    client = LocalClient({"scripted": ScriptedReward(isolation="process")})
    task = asyncio.create_task(client.ascore([{"response": "a"}]))
    while not children() - before:  # noqa: ASYNC110 - it announces nothing
        await asyncio.sleep(0)
    started = children() - before
    await client.aclose()
    assert all([await is_gone(pid) for pid in started])
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_forked_process_starts_workers_of_its_own_and_leaves_its_parents_alone() -> None:
    with LocalClient({"pid": RewardFunction(func=hostile.misbehave)}) as client:
        [before] = client.score([{"response": "pid"}])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                [own] = client.score([{"response": "pid"}])
                client.close()
                code = 0 if own.metadata["pid"] != before.metadata["pid"] else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        [after] = client.score([{"response": "pid"}])
        assert after.metadata["pid"] == before.metadata["pid"]


def test_has_no_replicas_to_wish_for() -> None:
    with (
        LocalClient({"length": "length"}, arguments={"length": {"target": 1}}) as client,
        pytest.raises(ConfigError, match="a LocalClient has no replicas"),
    ):
        client.prescale("length", 2, for_s=60.0)
