from __future__ import annotations

import pickle
import shlex
import sys

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.render import RenderedJob, add_run_id, bind_urls, build_job, check_env_vars
from rayreward.jobs.sections import RewardBinding


def test_the_command_runs_the_trainer_with_this_interpreter_and_survives_a_shell() -> None:
    job = build_job("demo", "some.trainer", ["--text", 'It\'s "{}"; $HOME'], env_vars={"A": "b"}, run_id="r-1")

    assert job.argv[:4] == (sys.executable, "-u", "-m", "some.trainer")
    assert (job.module, job.flags) == ("some.trainer", ("--text", 'It\'s "{}"; $HOME'))
    assert shlex.split(job.entrypoint) == list(job.argv)
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.metadata == {"name": "demo", "run_id": "r-1", "kind": "openrlhf"}


def test_a_job_survives_as_text() -> None:
    job = build_job("demo", "some.trainer", ["-x"], env_vars={}, run_id="r", reward_urls=("http://a",), gpus=1.0)

    assert RenderedJob.from_json(job.to_json()) == job


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/get_reward", "http://a/get_reward?run=r"),
        ("http://a/get_reward?fallback=0", "http://a/get_reward?fallback=0&run=r"),
        ("http://a/get_reward?run=old", "http://a/get_reward?run=r"),
    ],
)
def test_a_run_id_joins_or_replaces_what_the_url_had(url: str, expected: str) -> None:
    assert add_run_id(url, "r") == expected


def test_a_reward_s_name_is_bound_to_its_route_under_the_router() -> None:
    tidy = bind_urls("a", RewardBinding(name="tidy"), "http://h:1/", "r")
    assert tidy == ("http://h:1/tidy/get_reward?run=r",)
    assert bind_urls("a", RewardBinding(), "http://h:1", "r") == ("http://h:1/get_reward?run=r",)


def test_explicit_urls_need_no_router() -> None:
    assert bind_urls("a", RewardBinding(url=["http://a", "http://b"]), None, "r") == (
        "http://a?run=r",
        "http://b?run=r",
    )


def test_a_name_without_a_router_is_refused() -> None:
    with pytest.raises(ConfigError, match="'tidy' has no address yet"):
        bind_urls("a", RewardBinding(name="tidy"), None, "r")


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "aws_secret", "DB_PASSWORD", "KEY", "PASSWORD_FILE"])
def test_a_secret_in_the_environment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"demo: env_vars: {name} looks like a secret"):
        build_job("demo", "some.trainer", [], env_vars={name: "x"}, run_id="r")


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"])
def test_a_variable_that_openrlhf_sets_itself_is_refused(name: str) -> None:
    (mistake,) = check_env_vars([name])

    assert "Ray refuses" in mistake


def test_ordinary_variables_pass() -> None:
    assert check_env_vars(["KEYBOARD", "TOKENS_PER_SECOND", "HF_HOME", "PYTHONPATH"]) == []
