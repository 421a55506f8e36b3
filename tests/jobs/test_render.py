import pickle
import shlex
import sys

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.parser import installed_parser, installed_version
from rayreward.jobs.render import add_run_id, bind_reward, check_env_vars, render
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000/get_reward"


def test_the_command_runs_openrlhf_with_this_interpreter() -> None:
    job = render(build_spec(), reward_urls=[URL], run_id="run-1")

    assert job.argv[:4] == (sys.executable, "-u", "-m", "openrlhf.cli.train_ppo_ray")
    assert job.flags[0] == "--actor.model_name_or_path"
    assert shlex.split(job.entrypoint) == list(job.argv), "a shell reads the entrypoint: quotes must survive it"
    assert pickle.loads(pickle.dumps(job)) == job


def test_a_template_with_quotes_and_spaces_survives_the_shell() -> None:
    spec = build_spec(data={"prompts": "p.jsonl", "input_template": 'It\'s "{}"; $HOME'})

    job = render(spec, reward_urls=[URL], run_id="r")

    assert 'It\'s "{}"; $HOME' in shlex.split(job.entrypoint)


def test_the_run_travels_in_the_reward_s_url() -> None:
    job = render(build_spec(), reward_urls=[URL], run_id="run-1")

    assert job.reward_urls == (f"{URL}?run=run-1",)
    assert f"{URL}?run=run-1" in job.argv
    assert job.metadata["run_id"] == "run-1"


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
    assert bind_reward(build_spec(reward={"name": "tidy"}), "http://h:1/") == ("http://h:1/tidy/get_reward",)
    assert bind_reward(build_spec(), "http://h:1") == ("http://h:1/get_reward",)


def test_explicit_urls_need_no_router() -> None:
    assert bind_reward(build_spec(reward={"url": ["http://a", "http://b"]}), None) == ("http://a", "http://b")


def test_a_name_without_a_router_is_refused() -> None:
    with pytest.raises(ConfigError, match="'tidy' has no address yet"):
        bind_reward(build_spec(reward={"name": "tidy"}), None)


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "aws_secret", "DB_PASSWORD", "KEY", "PASSWORD_FILE"])
def test_a_secret_in_the_environment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} looks like a secret"):
        render(build_spec(env_vars={name: "x"}), reward_urls=[URL], run_id="r")


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"])
def test_a_variable_that_openrlhf_sets_itself_is_refused(name: str) -> None:
    (mistake,) = check_env_vars([name])

    assert "Ray refuses" in mistake


def test_ordinary_variables_pass() -> None:
    assert check_env_vars(["KEYBOARD", "TOKENS_PER_SECOND", "HF_HOME", "PYTHONPATH"]) == []


@pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")
def test_a_raw_flag_that_openrlhf_does_not_have_is_refused_with_the_nearest() -> None:
    spec = build_spec(extra_args={"train.enable_emma": True})

    with pytest.raises(ConfigError, match=r"test: OpenRLHF .* did you mean '--train\.enable_ema'"):
        render(spec, reward_urls=[URL], run_id="r", parser=installed_parser())
