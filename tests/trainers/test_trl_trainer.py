"""The installed TRL trains a tiny model with rewards that a running service gives."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.client.run import RunClient
from rayreward.jobs.tiny_model import build_tiny_model
from tests.live import live_service

pytest.importorskip("trl")

pytestmark = [
    pytest.mark.trl,
    pytest.mark.filterwarnings("ignore"),  # torch, transformers and TRL warn of themselves and of each other
]

PROMPTS = [f"{a} + {b} = ?" for a in range(8) for b in range(8)]


def digits(response: str) -> tuple[float, dict[str, float]]:
    """The share of digits, and how much was written."""
    share = sum(character.isdigit() for character in response) / max(1, len(response))
    return share, {"digits": share, "length": float(len(response))}


def flaky_digits(response: str) -> Any:
    """The same, for nine responses of ten."""
    if zlib.crc32(response.encode()) % 10 == 0:
        raise ConnectionError("the grader is down")
    return digits(response)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build_tiny_model(folder)
    return folder


@pytest.fixture
def service() -> Iterator[str]:
    rewards = {"digits": RewardFunction(func=digits), "flaky": RewardFunction(func=flaky_digits)}
    for reward in rewards.values():
        reward.isolation = "inline"
    with live_service(rewards) as url:
        yield url


def train(model: Path, rewards: list[Any], *, steps: int, **options: Any) -> list[dict[str, float]]:
    """What a GRPO training logs, step by step."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(model / "out"),
        max_steps=steps,
        per_device_train_batch_size=32,
        num_generations=8,
        max_completion_length=16,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=1,
        **options,
    )
    data = Dataset.from_list([{"prompt": prompt, "source": "sums"} for prompt in PROMPTS])
    trainer = GRPOTrainer(model=str(model), reward_funcs=rewards, args=config, train_dataset=data)
    trainer.train()
    for asked in (reward._reward for reward in rewards if isinstance(reward._reward, RunClient)):
        asked.close()
        if trainer._has_async_funcs:  # connections belong to the loop that opened them
            asyncio.run_coroutine_threadsafe(asked.aclose(), trainer.async_loop).result()
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def mean(log: list[dict[str, float]], name: str) -> float:
    return sum(entry[name] for entry in log) / len(log)


@pytest.mark.parametrize("is_async", [False, True])
def test_the_reward_rises_through_the_router(model: Path, service: str, is_async: bool) -> None:
    reward = RewardFunction(name="digits", endpoint=service, mode="remote").get_trl_adapter(is_async=is_async, run="r")

    log = train(model, [reward], steps=25)

    assert mean(log[-3:], "reward") >= mean(log[:3], "reward") + 0.3
    assert all(abs(entry["reward"] - entry["reward/digits/digits"]) < 1e-5 for entry in log)
    assert all(entry["reward_failures/digits"] == 0 for entry in log)
    assert all(entry["reward/digits/length"] > 0 for entry in log)


def test_failed_samples_are_skipped_and_counted_and_the_reward_rises_all_the_same(model: Path, service: str) -> None:
    reward = RewardFunction(name="flaky", endpoint=service, mode="remote").get_trl_adapter(run="r")

    log = train(model, [reward], steps=12, log_completions=True)

    failed = sum(entry["reward_failures/flaky"] for entry in log)
    assert 0.04 < failed / (32 * len(log)) < 0.25
    assert log[-1]["reward_failures/flaky/error"] == log[-1]["reward_failures/flaky"]
    # Zeros among the scores would pull the mean below that of the component, which only scored samples have.
    assert all(abs(entry["reward"] - entry["reward/flaky/digits"]) < 1e-5 for entry in log)
    assert mean(log[-3:], "reward") > mean(log[:3], "reward") + 0.2
    assert len(list((model / "out" / "completions").glob("*.parquet"))) == len(log)


def test_beside_another_reward_a_failed_sample_that_is_neutral_adds_no_zero(model: Path, service: str) -> None:
    flaky = RewardFunction(name="flaky", endpoint=service, mode="remote")
    always = RewardFunction(func=lambda response: 1.0, name="always").get_trl_adapter()

    gaps = {}
    for on_failure in ("none", "neutral"):
        [entry] = train(model, [flaky.get_trl_adapter(on_failure=on_failure), always], steps=1)
        assert entry["reward_failures/flaky"] > 0
        gaps[on_failure] = entry["reward/flaky/digits"] + 1 - entry["reward"]

    assert gaps["none"] > 2 * abs(gaps["neutral"])
