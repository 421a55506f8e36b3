"""One cluster and one service for all runs, each of them a real training on a CPU."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.launch import make_plan, submit
from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight import preflight
from rayreward.jobs.spec import JobSpec
from rayreward.jobs.submit import JobState, RayJobs
from rayreward.jobs.tiny_model import build_tiny_model, write_prompts
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster
from tests.runs.served_rewards import DEADLINE_S

HERE = Path(__file__).parent
PROMPTS, SAMPLES, STEPS = 8, 4, 3


def rewards_of(app: str) -> list[dict[str, Any]]:
    file = HERE / "served_rewards.py"
    return [
        {"name": "steady", "import_path": f"{file}::steady", "num_replicas": 1},
        {"name": "flaky", "import_path": f"{file}::flaky", "num_replicas": 1, "timeout_s": DEADLINE_S},
    ]


POLICIES = {
    "rewards": {"on_failure": "neutral", "sibling_wait_s": 60.0},
    "dropping": {"on_failure": "drop", "sibling_wait_s": 60.0},
}
"""Serve applications and their failure policies. The long wait makes every stand-in the mean of all siblings."""


@dataclass
class Stage:
    """Where the runs play.

    Attributes:
        cluster: Ray, Serve, four pretended GPUs.
        folder: model, prompts, outputs, reward logs.
    """

    cluster: EmbeddedCluster
    folder: Path

    @property
    def jobs(self) -> RayJobs:
        assert self.cluster.dashboard_url is not None
        return RayJobs(self.cluster.dashboard_url)

    def spec(self, name: str, **sections: Any) -> OpenRLHFSpec:
        """A training of three small steps."""
        steps = sections.pop("steps", STEPS)
        base: dict[str, Any] = {
            "name": name,
            "platform": "cpu",
            "model": {"path": str(self.folder / "model")},
            "data": {
                "prompts": str(self.folder / "prompts.jsonl"),
                "label_key": "label",
                "apply_chat_template": True,
                "max_len": 128,
                "max_samples": PROMPTS * steps,
            },
            "rollout": {
                "batch_size": PROMPTS,
                "n_samples_per_prompt": SAMPLES,
                "micro_batch_size": 32,
                "max_new_tokens": 16,
            },
            "algorithm": {"estimator": "reinforce_baseline"},
            "optimizer": {"learning_rate": 1e-3},
            "reward": {"app": "rewards"},
            "train": {"micro_batch_size": 32},
            "checkpoint": {"output_dir": str(self.folder / name)},
            # vLLM leaves its sockets in the folder for temporary files: this one goes with the cluster.
            "env_vars": {"TMPDIR": self.cluster.folder},
        }
        for section, keys in sections.items():
            base[section] = {**base.get(section, {}), **keys} if isinstance(keys, dict) else keys
        return OpenRLHFSpec.parse(base, source="tests")

    def run(self, spec: OpenRLHFSpec, *, during: Callable[[str], None] = lambda line: None) -> Run:
        """Submit it as a user would, and wait for its end; `during` sees every line of its log."""
        app = spec.reward.app
        url = self.cluster.url if app == "rewards" else f"{self.cluster.url}/{app}"
        plan = make_plan(spec, service_url=url)
        preflight(plan.spec, plan.job, dashboard_url=self.cluster.dashboard_url)
        return self.follow(plan.spec, submit(plan, self.jobs, ray_address=self.cluster.address), during=during)

    def follow(self, spec: JobSpec, job_id: str, *, during: Callable[[str], None] = lambda line: None) -> Run:
        """Stay with a job to its end."""

        async def follow() -> Run:
            lines = []
            async for line in self.jobs.follow(job_id):
                lines.append(line)
                await asyncio.to_thread(during, line)
            return Run(spec, job_id, lines, await self.jobs.wait(job_id), self.folder)

        return asyncio.run(follow())


@dataclass
class Run:
    """What a training left."""

    spec: JobSpec
    run_id: str
    lines: list[str]
    state: JobState
    folder: Path

    @property
    def log(self) -> str:
        return "\n".join(self.lines[-60:])

    @property
    def steps(self) -> list[StepMetrics]:
        return [step for step in map(parse_step, self.lines) if step is not None]

    @property
    def summary(self) -> dict[str, Any]:
        file = Path(self.spec.output_dir) / "run_summary.json"
        assert file.is_file(), self.log
        text = file.read_text()
        data: dict[str, Any] = json.loads(text)
        return data

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the router answered for this run, in order."""
        files = (self.folder / "log" / self.spec.reward.app).glob("*.jsonl")
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [row for row in rows if row["run"] == self.run_id]

    def groups(self) -> list[list[dict[str, Any]]]:
        """The records of each prompt's samples, in the order in which they were complete."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            found.setdefault(record["group_id"] or record["prompt"], []).append(record)
        return list(found.values())


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("runs")
    build_tiny_model(folder / "model")
    write_prompts(folder / "prompts.jsonl", count=256)
    with EmbeddedCluster(needs_dashboard=True, gpus=4, cpus=12) as cluster:
        from ray import serve

        from rayreward.serve.app import build_app

        for app, policy in POLICIES.items():
            config = {"rewards": rewards_of(app), "openrlhf": policy, "log_dir": str(folder / "log" / app)}
            route = "/" if app == "rewards" else f"/{app}"
            serve.run(build_app(ServiceConfig.parse(config, source="tests")), name=app, route_prefix=route)
        yield Stage(cluster, folder)
