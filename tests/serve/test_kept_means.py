from __future__ import annotations

import pytest
from ray.experimental import internal_kv

from rayreward.serve.kept_means import KeptMeans
from rayreward.testing import ManualClock


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    kept: dict[bytes, bytes] = {}
    monkeypatch.setattr(internal_kv, "_internal_kv_get", lambda key, namespace: kept.get(key))
    monkeypatch.setattr(internal_kv, "_internal_kv_put", lambda key, value, namespace: kept.update({key: value}))
    return kept


async def test_the_next_router_knows_what_the_last_one_knew(store: dict[bytes, bytes]) -> None:
    clock = ManualClock()
    await KeptMeans("app", now=clock).keep({"math": {"run": 0.5}})
    assert await KeptMeans("app", now=clock).load() == {"math": {"run": 0.5}}
    assert await KeptMeans("another", now=clock).load() == {}


async def test_what_is_long_ago_is_forgotten(store: dict[bytes, bytes]) -> None:
    clock = ManualClock()
    await KeptMeans("app", now=clock).keep({"math": {"run": 0.5}})
    clock.advance(601.0)
    assert await KeptMeans("app", now=clock).load() == {}


async def test_nothing_is_written_twice(store: dict[bytes, bytes]) -> None:
    means = KeptMeans("app")
    await means.keep({"math": {"run": 0.5}})
    store.clear()
    await means.keep({"math": {"run": 0.5}})
    assert not store


async def test_a_store_that_holds_something_else_or_fails_costs_only_the_means(
    store: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store[b"means/app"] = b"what?"
    assert await KeptMeans("app").load() == {}

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("gone")

    monkeypatch.setattr(internal_kv, "_internal_kv_put", fail)
    await KeptMeans("app").keep({"math": {"run": 0.5}})
