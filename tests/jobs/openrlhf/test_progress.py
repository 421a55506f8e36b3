import math
import pickle
from pathlib import Path

import pytest

from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step

LOG = Path(__file__).parent / "data" / "openrlhf-0.11.2.log"


@pytest.fixture(scope="module")
def steps() -> list[StepMetrics]:
    """The first steps of a real run of 8 prompts x 8 samples, bars and warnings around them."""
    return [step for line in LOG.read_text(encoding="utf-8").splitlines() if (step := parse_step(line))]


def test_each_step_of_a_real_log_is_found_once_and_in_order(steps: list[StepMetrics]) -> None:
    assert [step.step for step in steps] == [1, 2, 3]


def test_a_step_s_numbers_are_those_of_the_log_in_full_precision(steps: list[StepMetrics]) -> None:
    first = steps[0]

    assert first.reward == 0.07003122568130493
    assert first.sample_count == 64
    assert first.response_length == 15.46875
    assert first.truncated_rate == 0.9375
    assert 0 < first.generation_s < first.step_s
    assert 0 < first.train_s < first.step_s
    assert first.values["reward_valid"] == 1.0, "a reward's extra_logs are there too"


def test_no_other_line_is_taken_for_a_step() -> None:
    lines = LOG.read_text(encoding="utf-8").splitlines()

    assert sum(parse_step(line) is not None for line in lines) == 3 < len(lines)


def test_a_step_that_diverged_is_still_read() -> None:
    step = parse_step("✨ Global step 7: {'policy_loss': nan, 'return': -inf, 'actor_lr': 1e-05, 'reward': 0.5}")

    assert step is not None
    assert math.isnan(step.values["policy_loss"])
    assert step.values["return"] == -math.inf
    assert step.values["actor_lr"] == 1e-05
    assert step.reward == 0.5, "the trainer's own mean where the rollout's is missing"


def test_the_asynchronous_trainer_s_line_is_read_too() -> None:
    step = parse_step("(TrainingActor pid=1) INFO Global step 2: {'rollout/reward_mean': 1.0}")

    assert step is not None
    assert step.reward == 1.0


def test_a_step_survives_pickling(steps: list[StepMetrics]) -> None:
    assert pickle.loads(pickle.dumps(steps[0])) == steps[0]
