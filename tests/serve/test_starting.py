"""What is told of rewards that start, over a stand-in for Ray's key-value store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest

from rayreward.condition import Condition
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, Start, open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.serve import starting
from rayreward.serve.starting import Note, keep_starts_known, read_start, telling_start
from rayreward.testing import ManualClock
from tests.router.stages import Stage, turns

KEY = b"starting/app/r/1"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    from ray.experimental import internal_kv

    kept: dict[bytes, bytes] = {}
    monkeypatch.setattr(internal_kv, "_internal_kv_put", lambda key, value, namespace: kept.__setitem__(key, value))
    monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key, namespace: kept.get(key))
    monkeypatch.setattr(internal_kv, "_internal_kv_del", lambda key, namespace: kept.pop(key, None))
    monkeypatch.setattr(
        internal_kv, "_internal_kv_list", lambda prefix, namespace: [key for key in kept if key.startswith(prefix)]
    )
    monkeypatch.setattr(starting, "_TELL_PAUSE_S", 0.0)
    monkeypatch.setattr(starting, "_READ_PAUSE_S", 0.0)
    return kept


def note(doing: str, *, started_s: float, written_s: float) -> bytes:
    return msgspec.json.encode(Note(doing, started_s, written_s))


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - what happens is in a plain store
            await asyncio.sleep(0)


async def test_a_replica_tells_what_it_does_while_it_does_it(
    store: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_own_key", lambda: KEY)
    now = Condition("loading weights")

    def told() -> str:
        start = read_start("app", "r")
        return "" if start is None else start.doing

    async with telling_start(lambda: now):
        await until(lambda: told() == "loading weights")
        now = Condition("warming up")
        await until(lambda: told() == "warming up")
    assert store == {}


async def test_a_load_that_fails_is_no_longer_told_and_raises_what_it_raised(
    store: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "_own_key", lambda: KEY)

    async def load() -> None:
        async with telling_start(Condition):
            await until(lambda: KEY in store)
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        await load()
    assert store == {}


async def test_a_store_that_does_not_answer_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no control service")

    monkeypatch.setattr(starting, "_own_key", lambda: KEY)
    monkeypatch.setattr(starting, "_put", fail)
    monkeypatch.setattr(starting, "_delete", fail)
    async with telling_start(Condition):
        await turns()


def test_the_one_that_began_first_is_told_and_the_dead_are_swept(store: dict[bytes, bytes]) -> None:
    store[b"starting/app/r/1"] = note("dead", started_s=10.0, written_s=70.0)
    store[b"starting/app/r/2"] = note("warming up", started_s=40.0, written_s=95.0)
    store[b"starting/app/r/3"] = note("loading weights", started_s=90.0, written_s=95.0)
    store[b"starting/app/other/4"] = note("probe", started_s=1.0, written_s=95.0)
    assert read_start("app", "r", now=lambda: 100.0) == Start("warming up", 60.0)
    assert b"starting/app/r/1" not in store
    assert read_start("app", "third", now=lambda: 100.0) is None


async def test_a_lane_says_it_until_its_reward_is_ready(store: dict[bytes, bytes]) -> None:
    clock = ManualClock()
    lane: Lane = open_lane(Stage(), slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=clock)
    clock.advance(7.0)
    assert lane.info("r").extra["starting"] == {"doing": "waiting for a replica", "for_s": 7.0}
    store[KEY] = note("loading weights", started_s=time.time(), written_s=time.time())
    watching = asyncio.create_task(keep_starts_known({"r": lane}, "app"))
    await until(lambda: lane.start is not None)
    assert lane.info("r").extra["starting"]["doing"] == "loading weights"
    lane.learn(RewardFacts("v", found={"load_s": 3.5}))
    assert lane.info("r").extra == {"load_s": 3.5}
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
