"""What needs no vLLM; an engine is started in tests/models/test_vllm_backend.py and tests/judges/test_vllm.py."""

from __future__ import annotations

import sys

import pytest

from rayreward.errors import MissingExtraError, ServiceUnavailableError
from rayreward.vllm_engine import VllmEngine, cpu_arguments, device_type


async def asked() -> int:
    return 1


def test_an_engine_that_was_not_begun_is_asked_nothing_and_ends_as_often_as_one_likes() -> None:
    engine = VllmEngine("models/judge")
    with pytest.raises(ServiceUnavailableError, match="'models/judge' does not run"):
        engine.submit(asked())
    engine.end()
    engine.end()
    assert not engine.is_running


def test_who_needs_vllm_where_there_is_none_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm.platforms", None)
    with pytest.raises(MissingExtraError, match=r"a judge needs vLLM .*rayreward\[vllm\]"):
        device_type("a judge")


def test_several_processes_are_another_executor() -> None:
    assert cpu_arguments()["distributed_executor_backend"] == "uni"
    assert cpu_arguments(tensor_parallel_size=2)["distributed_executor_backend"] == "mp"
