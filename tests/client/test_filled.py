from __future__ import annotations

from collections.abc import Iterator

import pytest

from rayreward import Sample
from rayreward.client.address import RewardAddress
from rayreward.client.filled import FillingClient, close_shared_clients, shared_filling_client
from rayreward.client.run import RunClient
from rayreward.errors import ConfigError
from rayreward.testing import ManualClock, ScriptedReward, served
from tests.live import live_service

SCRIPT = {"high": 1.0, "low": 0.0, "quarter": 0.25, "bad": ValueError("no")}


async def test_a_failed_sample_gets_the_mean_of_its_prompt_else_of_the_run_else_zero() -> None:
    async with served({"scripted": ScriptedReward(SCRIPT)}) as service:
        client = FillingClient(RunClient(service.client), sibling_wait_s=0)

        async def numbers(*samples: tuple[str, str]) -> list[float]:
            values = [Sample(response=response) for _, response in samples]
            return [filled.number for filled in await client.ascore(values, [prompt for prompt, _ in samples])]

        assert await numbers(("p", "bad")) == [0.0]
        assert await numbers(("p", "bad"), ("p", "high"), ("p", "low"), ("q", "quarter")) == [0.5, 1.0, 0.0, 0.25]
        assert await numbers(("q", "bad")) == [0.25]
        assert await numbers(("r", "bad")) == [pytest.approx(1.25 / 3)]


async def test_it_waits_for_a_sibling_that_is_still_to_come() -> None:
    async with served({"scripted": ScriptedReward(SCRIPT)}) as service:
        clock = ManualClock()

        async def sleep(seconds: float) -> None:
            clock.advance(seconds)
            await client.ascore([Sample(response="quarter")], ["p"])

        client = FillingClient(RunClient(service.client), now=clock, sleep=sleep)
        [failed] = await client.ascore([Sample(response="bad")], ["p"])
    assert failed.number == 0.25
    assert clock() < 1.0


async def test_or_a_fixed_number_and_says_which_is_scored() -> None:
    async with served({"scripted": ScriptedReward(SCRIPT)}) as service:
        client = FillingClient(RunClient(service.client), fallback=-1.0)
        found = await client.ascore([Sample(response="high"), Sample(response="bad")], ["p", "p"])
    assert [(one.number, one.is_valid) for one in found] == [(1.0, True), (-1.0, False)]


@pytest.fixture
def url() -> Iterator[str]:
    with live_service({"main": ScriptedReward(default=0.5), "other": ScriptedReward(default=0.25)}) as url:
        yield url


def test_an_address_is_a_root_with_a_name_or_a_rewards_own_url(url: str) -> None:
    addresses = [
        RewardAddress(endpoint=url),
        RewardAddress(endpoint=url, reward="other"),
        RewardAddress(endpoint=f"{url}/v1/rewards/other"),
        RewardAddress(endpoint=f"{url}/other/get_reward"),
    ]
    clients = [address.connect() for address in addresses]
    assert [client.score([Sample(response="a")])[0].score for client in clients] == [0.5, 0.25, 0.25, 0.25]
    for client in clients:
        client.close()


def test_what_an_address_leaves_out_is_in_the_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RAYREWARD_URL", url)
    monkeypatch.setenv("RAYREWARD_REWARD", "other")
    monkeypatch.setenv("RAYREWARD_RUN", "first")

    address = RewardAddress().or_environment()
    assert (address.endpoint, address.reward, address.run) == (url, "other", "first")
    assert RewardAddress(reward="main", app="rewards").or_environment() == RewardAddress(
        reward="main", app="rewards", run="first"
    )

    client = shared_filling_client(RewardAddress(), None)
    assert client is shared_filling_client(RewardAddress(), None)
    assert client.score([Sample(response="a")], ["p"])[0].number == 0.25
    close_shared_clients()
    assert client is not shared_filling_client(RewardAddress(), None)


def test_an_address_leads_to_one_place() -> None:
    with pytest.raises(ConfigError, match="found both"):
        RewardAddress(endpoint="http://host", app="rewards")
