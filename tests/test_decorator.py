from __future__ import annotations

import inspect
from typing import Any

import cloudpickle
import pytest

from rayreward import RewardFunction, Sample, reward_function
from rayreward.errors import ConfigError

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]


def test_the_function_stays_what_it_was() -> None:
    @reward_function
    def reward(messages: Any, *args: Any, **kwargs: Any) -> float:
        """Doc."""
        return float(len(messages[-1].content))

    assert reward(CHAT) == 1.0
    assert reward(messages=CHAT) == 1.0
    assert (reward.__name__, reward.__doc__) == ("reward", "Doc.")
    assert callable(reward.deploy)
    assert reward.reward()(messages=CHAT).score == 1.0


async def test_an_async_function_stays_async() -> None:
    @reward_function
    async def reward(messages: Any) -> float:
        return float(messages[-1].content == "4")

    assert inspect.iscoroutinefunction(reward)
    assert await reward(CHAT) == 1.0
    assert (await reward.reward().ascore([Sample(CHAT)]))[0].score == 1.0


def test_a_batch_functions_chats_become_readable_too() -> None:
    @reward_function(mode="batch")
    def reward(messages: Any, **kwargs: Any) -> list[float]:
        return [float(len(chat[-1].content)) for chat in messages]

    assert reward([CHAT, CHAT]) == [1.0, 1.0]
    assert reward.reward().score([Sample(CHAT)])[0].score == 1.0


def test_options_reach_the_reward() -> None:
    @reward_function(name="exact", isolation="inline", timeout_s=2.5, memory_bytes=5, deterministic=True)
    def reward(response: str, label: str) -> float:
        return float(response == label)

    made = reward.reward()
    assert (made.name, made.isolation, made.timeout_s, made.deterministic) == ("exact", "inline", 2.5, True)
    assert made.memory_bytes == 5
    assert RewardFunction(func=reward, name="other", timeout_s=1, isolation="thread").name == "other"


def test_survives_pickling_with_what_it_can_do() -> None:
    @reward_function(name="exact")
    def reward(response: str) -> float:
        return 1.0

    twin = cloudpickle.loads(cloudpickle.dumps(reward))
    assert (twin("a"), twin.reward().name) == (1.0, "exact")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"isolaton": "inline"}, "did you mean 'isolation'"),
        ({"mode": "pairs"}, "pointwise, batch, group"),
        ({"isolation": "sandbox"}, "isolation='sandbox'"),
        ({"timeout_s": 0}, "timeout_s=0"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        reward_function(**options)
