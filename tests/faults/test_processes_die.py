"""Processes that are killed, or stand still, while every transport asks."""

from __future__ import annotations

import asyncio

import pytest

from tests import victims
from tests.faults.load import Load
from tests.faults.service import Service

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


async def test_a_killed_reward_replica_costs_nobody_a_sample(service: Service) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        victims.replicas("steady")[0].kill()
        await load.goes_on(200)
    load.ledger.check()


async def test_a_killed_router_costs_nobody_a_sample(service: Service) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        victims.replicas("router")[0].kill()
        await load.goes_on(200)
    load.ledger.check()


async def test_a_router_that_is_killed_again_and_again_costs_openrlhfs_own_client_nothing(service: Service) -> None:
    # Its five attempts are over within seconds where they are refused: here they wait for the next router instead.
    async with Load(service.callers("steady", transports=("openrlhf own port",) * 8)) as load:
        for _ in range(3):
            await load.goes_on(100)
            victims.replicas("router")[0].kill()
        await load.goes_on(100)
    load.ledger.check()


async def test_a_killed_controller_is_not_noticed(service: Service) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        victims.controller().kill()
        await load.goes_on(200)
    load.ledger.check()


async def test_a_redeploy_under_load_costs_nobody_a_sample(service: Service) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        await asyncio.to_thread(service.deploy, max_batch_samples=128)
        await load.goes_on(200)
    load.ledger.check()


async def test_a_replica_that_stands_still_for_a_while_is_waited_for(service: Service) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        hung = victims.replicas("steady")[0]
        hung.suspend()
        await asyncio.sleep(2.0)
        hung.resume()
        await load.goes_on(100)
    load.ledger.check()


@pytest.mark.parametrize("deployment", ["steady", "router"])
async def test_one_that_hangs_for_good_is_replaced_and_costs_nobody_a_sample(service: Service, deployment: str) -> None:
    async with Load(service.callers("steady")) as load:
        await load.goes_on(40)
        hung = victims.replicas(deployment)[0]
        hung.suspend()
        await asyncio.to_thread(hung.wait, 150)
        await load.goes_on(100)
    load.ledger.check()
