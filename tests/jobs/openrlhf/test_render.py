from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.render import render_openrlhf
from rayreward.jobs.render import RenderedJob
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000"


def rendered(**sections: Any) -> RenderedJob:
    return render_openrlhf(build_spec(**sections), run_id="run-1", service_url=URL)


def value_of(job: RenderedJob, flag: str) -> str:
    return job.flags[job.flags.index(flag) + 1]


def test_over_http_the_run_travels_in_the_reward_s_url() -> None:
    job = rendered(reward={"name": "tidy", "transport": "http"}, openrlhf_version="0.11.2")

    assert job.reward_urls == (f"{URL}/tidy/get_reward?run=run-1",)
    assert value_of(job, "--reward.remote_url") == job.reward_urls[0]
    assert (job.uploads, job.service_url) == ({}, URL)


def test_without_a_url_samples_go_through_ray_by_an_uploaded_executor() -> None:
    job = rendered(reward={"name": "tidy", "wait_s": 60}, openrlhf_version="0.11.2")

    assert value_of(job, "--train.agent_func_path") == "./single_turn.py"
    assert "AgentExecutor" in job.uploads["single_turn.py"]
    assert job.reward_urls == ()
    binding = Binding.from_env(job.env_vars)
    assert (binding.app, binding.reward, binding.run, binding.wait_s) == ("auto", "tidy", "run-1", 60.0)


def test_a_reward_func_is_uploaded_where_it_is_asked_for() -> None:
    job = rendered(reward={"transport": "reward_func"}, openrlhf_version="0.11.2")

    assert value_of(job, "--reward.remote_url") == "./reward_func.py"
    assert "reward_func" in job.uploads["reward_func.py"]


def test_an_environment_travels_with_the_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text("from rules import WIN\n")
    (tmp_path / "rules.py").write_text("WIN = 1\n")

    job = rendered(
        agent={"environment": f"{tmp_path}/game.py::Game", "args": {"size": 3}, "max_turns": 2},
        rollout={"max_new_tokens": 64},
        openrlhf_version="0.11.2",
    )

    assert job.uploads.keys() == {"multi_turn.py", "game.py", "rules.py"}
    assert value_of(job, "--train.agent_func_path") == "./multi_turn.py"
    binding = Binding.from_env(job.env_vars)
    assert (binding.environment, binding.args, binding.max_turns) == ("./game.py::Game", {"size": 3}, 2)
    assert binding.max_turn_tokens == 64, "OpenRLHF's own limit does not bound a turn"


def test_an_environment_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"test: agent.environment: /nowhere/game.py does not exist"):
        rendered(agent={"environment": "/nowhere/game.py::Game"})


def test_a_folder_full_of_other_things_is_not_uploaded(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text("")
    (tmp_path / "huge.py").write_text("#" * 3 * 2**20)

    with pytest.raises(ConfigError, match="give the environment a folder of its own"):
        rendered(agent={"environment": f"{tmp_path}/game.py::Game"})


def test_old_versions_get_their_flat_flags() -> None:
    job = rendered(reward={"transport": "http"}, openrlhf_version="0.9.10")

    assert "--remote_rm_url" in job.flags
    assert not [flag for flag in job.flags if flag.startswith("--") and "." in flag]


def test_a_raw_flag_that_openrlhf_does_not_have_is_refused_with_the_nearest() -> None:
    spec = build_spec(extra_args={"train.enable_emma": True})

    with pytest.raises(ConfigError, match=r"test: OpenRLHF .* did you mean '--train\.enable_ema'"):
        render_openrlhf(spec, run_id="r")
