from __future__ import annotations

import base64
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rayreward.cli import jobs
from rayreward.errors import ConfigError, ServiceUnavailableError
from rayreward.jobs.submit import RayJobs
from tests.cli.conftest import Run

SPEC = """
name: tiny
model: {path: ./model}
data: {prompts: ./prompts.jsonl, max_samples: 16}
rollout: {batch_size: 8}
reward: {name: tidy}
"""

STEPS = [
    "starting",
    "✨ Global step 1: {'rollout/reward_mean': 0.25, 'timing/step_total': 3.0}",
    "[rayreward] step 1/2  reward 0.2500  failed: none",
    "✨ Global step 2: {'rollout/reward_mean': 0.5, 'timing/step_total': 2.0}",
    "[rayreward] step 2/2  reward 0.5000  failed: timeout 1",
]


@dataclass
class FakeCluster:
    """Ray's job client, scripted.

    Attributes:
        lines: that the job writes before it ends.
        end: its last status and the exit code of its driver.
        listed: what Ray knows of all jobs.
    """

    lines: list[str] = field(default_factory=list)
    end: tuple[str, int | None] = ("SUCCEEDED", 0)
    submitted: dict[str, Any] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    interrupts: bool = False
    stop_ends_it: bool = False
    listed: list[Any] = field(default_factory=list)
    staged: dict[str, Any] = field(default_factory=dict)

    def list_jobs(self) -> list[Any]:
        return self.listed

    def submit_job(self, **options: Any) -> str:
        self.submitted = options
        packed = options["runtime_env"]["env_vars"]["RAYREWARD_PLAN"]
        self.staged = json.loads(zlib.decompress(base64.b64decode(packed)))
        return str(options["submission_id"])

    def get_job_info(self, job_id: str) -> Any:
        status, code = self.end
        message = "it ended, last available logs (truncated):\nnoise"
        return SimpleNamespace(status=status, message=message, driver_exit_code=code, metadata={"run_id": "r1"})

    def get_job_logs(self, job_id: str) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def stop_job(self, job_id: str) -> bool:
        self.stopped.append(job_id)
        if self.stop_ends_it:
            self.end = ("STOPPED", None)
        return True

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        for line in self.lines:
            yield f"{line}\n"
        if self.interrupts:
            raise KeyboardInterrupt


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, folder: Path) -> FakeCluster:
    """A cluster on which every plan passes, and a spec in the working directory."""
    fake = FakeCluster()
    connect: Callable[[str], Any] = lambda _url: fake  # noqa: E731 - a name for the type
    monkeypatch.setattr(jobs, "RayJobs", lambda url: RayJobs(url, connect=connect))
    monkeypatch.setattr(jobs, "preflight", lambda *_args, **_kwargs: [])
    monkeypatch.setattr(jobs, "is_on_this_machine", lambda _url: True)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_DASHBOARD_ADDRESS", "RAYREWARD_URL"):
        monkeypatch.delenv(name, raising=False)
    (folder / "tiny.yaml").write_text(SPEC)
    return fake


def test_a_followed_training_shows_its_steps_and_passes_its_exit_code_on(run: Run, cluster: FakeCluster) -> None:
    cluster.lines, cluster.end = STEPS, ("FAILED", 7)
    ended = run("jobs", "submit", "tiny.yaml")
    assert ended.code == 7
    assert ended.out.startswith("tiny-")
    assert "step 1/2  reward 0.2500  failed: none\n" in ended.err
    assert "the end of its log:\nstarting\n" in ended.err
    assert "FAILED  it ended\n" in ended.err


def test_a_training_that_succeeds_ends_with_0_and_json_says_how(run: Run, cluster: FakeCluster) -> None:
    ended = run("jobs", "submit", "tiny.yaml", "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert (document["status"], document["exit_code"]) == ("SUCCEEDED", 0)


def test_without_following_the_job_id_is_all_that_is_printed(run: Run, cluster: FakeCluster) -> None:
    cluster.end = ("FAILED", 7)
    ended = run("jobs", "submit", "tiny.yaml", "--no-follow")
    assert ended.code == 0
    job_id = ended.out.strip()
    assert cluster.submitted["submission_id"] == job_id == cluster.submitted["metadata"]["run_id"]
    assert f"rayreward jobs logs {job_id} --follow" in ended.err


def test_overrides_and_the_services_address_reach_the_command(run: Run, cluster: FakeCluster) -> None:
    http = "reward.transport=http"
    run("jobs", "submit", "tiny.yaml", http, "rollout.batch_size=4", "--service", "http://10.0.0.1:8000", "--no-follow")
    command = " ".join(cluster.staged["job"]["argv"])
    assert "--rollout.batch_size 4" in command
    assert "http://10.0.0.1:8000/tidy/get_reward?run=tiny-" in command
    assert cluster.submitted["entrypoint"].endswith("-m rayreward.jobs run")


def test_a_dry_run_prints_the_command_and_starts_nothing(run: Run, cluster: FakeCluster) -> None:
    ended = run("jobs", "submit", "tiny.yaml", "--dry-run")
    assert ended.code == 0
    assert "openrlhf.cli.train_ppo_ray" in ended.out
    assert cluster.submitted == {}
    plan = json.loads(run("jobs", "submit", "tiny.yaml", "--dry-run", "--json").out)
    assert "--rollout.batch_size" in plan["argv"]


def test_a_plan_that_cannot_work_is_refused_and_starts_nothing(
    run: Run, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise ConfigError("tiny: cluster: the plan takes 8 GPUs and 0 are free")

    monkeypatch.setattr(jobs, "preflight", refuse)
    ended = run("jobs", "submit", "tiny.yaml")
    assert (ended.code, cluster.submitted) == (2, {})
    assert "the plan takes 8 GPUs" in ended.err


def test_ctrl_c_leaves_the_training_running_and_says_how_to_go_on(run: Run, cluster: FakeCluster) -> None:
    cluster.lines, cluster.interrupts = STEPS[:2], True
    ended = run("jobs", "submit", "tiny.yaml")
    assert ended.code == 130
    assert cluster.stopped == []
    assert f"rayreward jobs stop {ended.out.strip()}" in ended.err


def test_status_is_one_line_or_a_document(run: Run, cluster: FakeCluster) -> None:
    cluster.end = ("RUNNING", None)
    assert run("jobs", "status", "a").out == "RUNNING  it ended\n"
    document = json.loads(run("jobs", "status", "a", "--json").out)
    assert (document["job_id"], document["run_id"], document["exit_code"]) == ("a", "r1", None)


def test_logs_are_data(run: Run, cluster: FakeCluster) -> None:
    cluster.lines = ["one", "two"]
    assert run("jobs", "logs", "a").out == "one\ntwo\n"
    assert run("jobs", "logs", "a", "--follow").out == "one\ntwo\n"


def test_stop_waits_until_the_job_is_gone(run: Run, cluster: FakeCluster) -> None:
    cluster.end = ("STOPPED", None)
    ended = run("jobs", "stop", "a")
    assert (ended.code, ended.err, cluster.stopped) == (0, "a: STOPPED\n", ["a"])


def test_the_list_holds_submitted_jobs_the_newest_first(run: Run, cluster: FakeCluster) -> None:
    def job(submission_id: str | None, start_time: int) -> Any:
        return SimpleNamespace(
            submission_id=submission_id, start_time=start_time, status="RUNNING", metadata=None, entrypoint="x"
        )

    cluster.listed = [job("old", 1000), job(None, 2000), job("new", 3000)]
    assert [row["job_id"] for row in json.loads(run("jobs", "list", "--json").out)] == ["new", "old"]
    assert run("jobs", "list").out.startswith("new  RUNNING  1970-01-01")


def test_the_address_is_the_one_given_or_rays_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_DASHBOARD_ADDRESS", raising=False)
    assert jobs.read_address(None) == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")
    assert jobs.read_address(None) == "http://head:8265"
    assert jobs.read_address("https://other") == "https://other"
    with pytest.raises(ConfigError, match="is a URL as in"):
        jobs.read_address("auto")


def test_a_mistake_in_a_spec_names_file_and_key(run: Run, cluster: FakeCluster) -> None:
    ended = run("jobs", "submit", "tiny.yaml", "rollout.batchsize=4")
    assert ended.code == 2
    assert "tiny.yaml: unknown key 'rollout.batchsize'; did you mean 'batch_size'?" in ended.err


class TestWatching:
    @pytest.fixture
    def silent_service(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A service that nobody reaches, and a clock on which a minute passes at each look."""
        clock = iter(range(0, 10_000, 60))
        monkeypatch.setattr(jobs, "_WATCH_PAUSE_S", 0.0)
        monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))

        async def unreachable(self: Any, run: str) -> Any:
            raise ServiceUnavailableError("connection refused")

        monkeypatch.setattr(jobs.HttpClient, "arun_stats", unreachable)

    def test_a_job_whose_reward_is_silent_is_stopped(
        self, run: Run, cluster: FakeCluster, silent_service: None
    ) -> None:
        cluster.end = ("RUNNING", None)
        cluster.stop_ends_it = True
        ended = run("jobs", "watch", "job-1", "--max-unavailable", "120")
        assert ended.code == 75
        assert cluster.stopped == ["job-1"]
        assert "has not answered for 180 s (connection refused), and 120 s are allowed" in ended.err

    def test_a_job_that_ends_by_itself_passes_its_code_on(self, run: Run, cluster: FakeCluster) -> None:
        cluster.end = ("FAILED", 3)
        assert run("jobs", "watch", "job-1").code == 3
