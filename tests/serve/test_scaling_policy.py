"""The policy over a stand-in for Serve's context; tests/serve/test_scaling.py has the real controller."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from rayreward.router.backlog import ReplicaNumbers
from rayreward.serve.scaling import QueuedWorkPolicy, by_queued_work, published

DEFAULTS = {"min_replicas": 1, "max_replicas": 4, "downscale_delay_s": 60.0}
BATCH: Any = {"batch_samples": 256, "batch_bytes": 8 * 2**20, "batch_tokens": None}


def series(*values: float) -> list[Any]:
    return [SimpleNamespace(timestamp=float(at), value=value) for at, value in enumerate(values)]


def metrics(**replicas: ReplicaNumbers) -> dict[str, dict[str, Any]]:
    """As Serve hands them over: a time series by name and replica."""
    found: dict[str, dict[str, Any]] = {"running_requests": {name: series(1.0) for name in replicas}}
    for replica, numbers in replicas.items():
        for name, value in numbers.published().items():
            found.setdefault(name, {})[replica] = series(0.0, value)
    return found


def context(**seen: Any) -> Any:
    return SimpleNamespace(
        **{
            "deployment_name": "math",
            "app_name": "rewards",
            "config": SimpleNamespace(get_target_ongoing_requests=lambda: 1.0),
            "raw_metrics": {},
            "total_num_requests": 0.0,
            "target_num_replicas": 1,
            "capacity_adjusted_min_replicas": 1,
            "capacity_adjusted_max_replicas": 4,
            "current_time": 1e9,
            **seen,
        }
    )


@pytest.fixture
def policy() -> QueuedWorkPolicy:
    return QueuedWorkPolicy(downscale_delay_s=60.0, **BATCH)


def test_what_the_newest_told_replica_says_decides_and_a_line_of_the_log_explains_it(
    policy: QueuedWorkPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    told = metrics(a=ReplicaNumbers(told_at_s=1.0), b=ReplicaNumbers(told_at_s=2.0, waiting_samples=700))
    with caplog.at_level(logging.INFO, logger="ray.serve"):
        found = [policy(context(raw_metrics=told))[0] for _ in range(3)]
    assert found == [3, 3, 3]
    assert [record.getMessage() for record in caplog.records] == [
        "reward 'math' of application 'rewards': scaled to 3: 700 samples wait, a replica takes 256 at once"
    ]


def test_without_any_replica_calls_that_wait_are_seen(policy: QueuedWorkPolicy) -> None:
    asleep = {"target_num_replicas": 0, "capacity_adjusted_min_replicas": 0}
    assert policy(context(**asleep)) == (0, {})
    assert policy(context(**asleep, total_num_requests=2.0)) == (2, {})


def test_whatever_goes_wrong_the_number_stays_and_the_log_says_why(
    policy: QueuedWorkPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="ray.serve"):
        assert policy(context(target_num_replicas=3, raw_metrics=7)) == (3, {})
    assert "scaled to 3: kept, for the policy failed with AttributeError" in caplog.text


def test_numbers_of_a_replica_that_has_published_nothing_yet_are_left_out() -> None:
    assert published({"rayreward_idle_s": {"a": []}, "running_requests": {"b": series(1.0)}}) == [ReplicaNumbers()]


class TestConfiguration:
    def test_the_delay_is_the_policys_own_and_serve_adds_none(self) -> None:
        config = by_queued_work(DEFAULTS, **BATCH)
        assert config["downscale_delay_s"] == 0.0
        assert config["policy"].policy_function == "rayreward.serve.scaling:QueuedWorkPolicy"
        assert config["policy"].policy_kwargs == {**BATCH, "downscale_delay_s": 60.0}
        assert "downscale_to_zero_delay_s" not in config

    def test_to_zero_serve_waits_for_what_is_left_of_its_own_delay(self) -> None:
        config = by_queued_work({**DEFAULTS, "downscale_to_zero_delay_s": 100.0}, **BATCH)
        assert config["downscale_to_zero_delay_s"] == 40.0

    def test_a_policy_of_the_user_stays_with_everything_else(self) -> None:
        own = {**DEFAULTS, "policy": {"policy_function": "mine:policy"}}
        assert by_queued_work(own, **BATCH) == own

    def test_the_policy_needs_no_rayreward_where_the_controller_runs(self) -> None:
        blob = by_queued_work(DEFAULTS, **BATCH)["policy"].get_serialized_policy_def()
        program = (
            "import sys; sys.modules['rayreward'] = None\n"
            "from ray import cloudpickle\n"
            "policy = cloudpickle.loads(sys.stdin.buffer.read())\n"
            "print(policy(downscale_delay_s=1.0, batch_samples=1, batch_bytes=1).__class__.__name__)"
        )
        ended = subprocess.run([sys.executable, "-c", program], input=blob, capture_output=True, check=False)
        assert (ended.returncode, ended.stdout) == (0, b"QueuedWorkPolicy\n"), ended.stderr.decode()
