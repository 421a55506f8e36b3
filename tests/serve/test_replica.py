from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.errors import ConfigError, RewardLoadError, ServiceUnavailableError
from rayreward.router.backlog import ReplicaNumbers
from rayreward.sample import Sample
from rayreward.serve.lost_model import LostModel
from rayreward.serve.replica import RewardReplica, ScaledReplica
from rayreward.serve.service import RewardService
from rayreward.spec import RewardSpec

REWARDS = """
import os

from rayreward import RewardFunction
from rayreward.condition import Condition

def scaled(response, factor=1.0):
    return float(response) * factor

def ends(response):
    os._exit(3) if response == "exit" else None
    return 1.0

class Fragile(RewardFunction):
    def __init__(self, weights="good"):
        self.weights = weights
    def load(self):
        if self.weights == "bad":
            raise FileNotFoundError("weights/bad")
    def compute_reward(self, trajectory):
        return 1.0

class Modelled(RewardFunction):
    isolation = "thread"
    is_lost = False
    def compute_reward(self, trajectory):
        type(self).is_lost = trajectory.response == "break"
        return 1.0
    @property
    def serving_condition(self):
        return Condition(lost="CUDA error" if self.is_lost else None, step_tokens=1024, found={"load_s": 2.0})
"""

Start = Callable[..., Awaitable[RewardReplica]]


class Replica(RewardReplica):
    def __del__(self) -> None:  # Serve awaits the real one, the garbage collector does not
        return


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    file = tmp_path / "rewards.py"
    file.write_text(REWARDS)
    started: list[Replica] = []

    async def start(name: str, *, blob: bytes | None = None, **settings: Any) -> RewardReplica:
        spec = RewardSpec.parse({"name": "r", "import_path": f"{file}::{name}", **settings}, source="tests")
        replica = Replica.__new__(Replica)
        started.append(replica)
        await replica.__init__(spec, blob)  # type: ignore[misc]
        replica._lost_model = LostModel("r", end=lambda: None)  # else it would end the tests
        return replica

    yield start
    for replica in started:
        await RewardReplica.__del__(replica)


async def test_other_arguments_are_served_from_the_next_call_on(start: Start) -> None:
    replica = await start("scaled", args={"factor": 2.0})
    await replica.check_health()
    [before] = await replica.score([Sample(response="3")])
    await replica.reconfigure({"args": {"factor": 10.0}})
    [after] = await replica.score([Sample(response="3")])
    assert (before.score, after.score) == (6.0, 30.0)
    assert before.version != after.version == (await replica.probe()).version
    await replica.reconfigure({})
    [back] = await replica.score([Sample(response="3")])
    assert (back.score, back.version) == (6.0, before.version)


async def test_under_load_each_output_is_of_the_version_that_it_names(start: Start) -> None:
    replica = await start("scaled", process_count=2)
    await replica.check_health()
    calls = [asyncio.create_task(replica.score([Sample(response=str(number))])) for number in range(20)]
    first = (await replica.probe()).version
    await replica.reconfigure({"args": {"factor": 10.0}})
    calls += [asyncio.create_task(replica.score([Sample(response=str(number))])) for number in range(20)]
    for number, [output] in zip([*range(20), *range(20)], await asyncio.gather(*calls), strict=True):
        assert output.score == number * (1.0 if output.version == first else 10.0)


@pytest.mark.parametrize(
    ("user_config", "reason"),
    [
        ({"args": {"weights": "bad"}}, "weights/bad"),
        ({"args": {"wieghts": "x"}}, "did you mean 'weights'"),
        ({"arg": {}}, "unknown key 'arg'; did you mean 'args'"),
        (["args"], "user_config of reward 'r'"),
    ],
)
async def test_what_cannot_be_served_leaves_what_is_and_is_told(start: Start, user_config: Any, reason: str) -> None:
    replica = await start("Fragile")
    await replica.check_health()
    version = (await replica.probe()).version
    await replica.reconfigure(user_config)
    facts = await replica.probe()
    assert facts.version == version
    assert facts.reload_failure is not None
    assert reason in facts.reload_failure
    [output] = await replica.score([Sample(response="")])
    assert (output.score, output.version) == (1.0, version)
    await replica.reconfigure({"args": {"weights": "better"}})
    assert (await replica.probe()).reload_failure is None


async def test_processes_that_end_again_and_again_are_told_until_one_answers(start: Start) -> None:
    replica = await start("ends")
    await replica.score([Sample(response="exit")] * 5)
    assert "5 times in a row" in str((await replica.probe()).crash_loop)
    await replica.score([Sample(response="a")])
    assert (await replica.probe()).crash_loop is None


async def test_a_reward_whose_model_is_lost_is_unhealthy_and_says_why(start: Start) -> None:
    replica = await start("Modelled")
    await replica.check_health()
    with pytest.raises(ServiceUnavailableError, match="reward 'r': CUDA error"):
        await replica.score([Sample(response="break")])
    assert (await replica.probe()).crash_loop == "CUDA error"
    with pytest.raises(ServiceUnavailableError, match="reward 'r': CUDA error"):
        await replica.check_health()


async def test_what_a_call_should_carry_and_what_loading_found_are_facts_and_published(start: Start) -> None:
    replica = await start("Modelled")
    facts = await replica.probe()
    assert (facts.call_tokens, facts.found) == (4096, {"load_s": 2.0})
    published = await ScaledReplica.record_autoscaling_stats(replica)  # type: ignore[arg-type]  # the same state
    assert ReplicaNumbers.read(published).call_tokens == 4096


async def test_at_its_start_it_fails_the_deployment(start: Start) -> None:
    replica = await start("Fragile")
    with pytest.raises(RewardLoadError, match="weights/bad"):
        await replica.reconfigure({"args": {"weights": "bad"}})


async def test_a_reward_that_was_shipped_takes_no_arguments(start: Start) -> None:
    import cloudpickle

    shipped = cloudpickle.dumps(RewardFunction(func=lambda response: 1.0, isolation="inline"))
    replica = await start("scaled", blob=shipped)
    await replica.reconfigure({})
    with pytest.raises(ConfigError, match="deploy it again"):
        await replica.reconfigure({"args": {"factor": 2.0}})


@pytest.mark.parametrize("deployment", [RewardReplica, ScaledReplica, RewardService])
def test_whatever_serve_calls_runs_on_the_loop_on_every_ray(deployment: type) -> None:
    # Ray 2.60 calls methods that are not async on threads, beside the loop that owns what they touch; 2.55 on the loop.
    called = [method for name, method in vars(deployment).items() if name == "__call__" or not name.startswith("_")]
    assert called
    assert [method for method in called if not inspect.iscoroutinefunction(method)] == []
