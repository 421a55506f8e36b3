"""A training that has all it needs, and the cluster and the reward that it needs, to be broken one thing at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rayreward.jobs.preflight import Finding, preflight
from rayreward.jobs.render import RenderedJob
from tests.jobs.conftest import build_spec

DASHBOARD = "http://head:8265"
REWARD = "http://reward:8000/tidy/get_reward"
GOOD_VERSIONS = {"rayreward": "0.1.0", "openrlhf": "0.11.2", "ray": "2.55.0", "vllm": "0.29.0", "protobuf": "6.33.6"}
GOOD_MODEL = {"max_position_embeddings": 4096, "num_attention_heads": 8}

Answer = Callable[[dict[str, Any]], httpx.Response]


def right_or_wrong(body: dict[str, Any]) -> httpx.Response:
    """Scores whether the label is in the response."""
    query, prompt, label = body["query"][0], body["prompts"][0], body["labels"][0]
    score = 1.0 if label in query.removeprefix(prompt) else 0.0
    return httpx.Response(200, json={"rewards": [score], "scores": [score], "extra_logs": {"reward_valid": [1.0]}})


@dataclass
class FakeNode:
    """A machine, as Ray 2.55's dashboard lists it."""

    name: str
    total: dict[str, float]
    used: dict[str, float] = field(default_factory=dict)
    state: str = "ALIVE"
    has_proxy: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        return {"node_id": self.name, "node_ip": self.name, "state": self.state, "resources_total": self.total}

    @property
    def usage(self) -> dict[str, list[float]]:
        return {kind: [self.used.get(kind, 0.0), total] for kind, total in self.total.items()}


class World:
    """Everything that `preflight` looks at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model, self.prompts, self.out = folder / "model", folder / "prompts.jsonl", folder / "out"
        self.sections: dict[str, Any] = {
            "model": {"path": str(self.model)},
            "data": {"prompts": str(self.prompts), "label_key": "label", "apply_chat_template": True},
            "rollout": {"batch_size": 4, "n_samples_per_prompt": 2, "micro_batch_size": 2},
            "checkpoint": {"output_dir": str(self.out)},
            "reward": {"url": REWARD},
        }
        self.versions = dict(GOOD_VERSIONS)
        self.nodes = [FakeNode("10.0.0.1", {"CPU": 16.0, "GPU": 4.0})]
        self.ray_version, self.applications = "2.55.0", {"rewards": running("tidy", "router")}
        self.health = httpx.Response(200, json={"status": "ok"})
        self.answer: Answer = right_or_wrong
        self.asked: list[httpx.Request] = []
        self.write_model(GOOD_MODEL)
        self.write_prompts([{"input": f"{n} + 1 = ?", "label": f"it is {n + 1}"} for n in range(8)])

    def write_model(self, config: dict[str, Any]) -> None:
        """A model folder with all that is looked for."""
        self.model.mkdir(exist_ok=True)
        (self.model / "config.json").write_text(json.dumps(config))
        (self.model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
        (self.model / "model.safetensors").write_bytes(b"\0" * 2048)

    def write_prompts(self, rows: list[Any]) -> None:
        """The prompt file."""
        self.prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def set(self, section: str, **keys: Any) -> None:
        """Change keys of the spec."""
        self.sections[section] = {**self.sections.get(section, {}), **keys}

    def preflight(self, **options: Any) -> list[Finding]:
        """Check it, by a client that only lets questions through."""
        spec = build_spec(**self.sections)
        urls = tuple(f"{url}?run=r" for url in spec.reward.urls)
        argv = (sys.executable, "-u", "-m", "openrlhf.cli.train_ppo_ray", *map(str, spec.extra_args.values()))
        job = RenderedJob(name="test", run_id="r", argv=argv, env_vars=dict(spec.env_vars), reward_urls=urls)
        options = {"dashboard_url": DASHBOARD, "transport": httpx.MockTransport(self._carry), **options}
        return preflight(spec, job, **options)

    def _carry(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.host == "head":
            return self._tell(request)
        if request.method == "GET":
            return httpx.Response(self.health.status_code, content=self.health.content)
        return self.answer(json.loads(request.content))

    def _tell(self, request: httpx.Request) -> httpx.Response:
        """What the dashboard answers, in the shapes of Ray 2.55."""
        usage = {node.name: node.usage for node in self.nodes if node.state == "ALIVE"}
        proxies = {node.name: {"status": "HEALTHY"} for node in self.nodes if node.has_proxy}
        bodies = {
            "/api/v0/nodes": {"data": {"result": {"result": [node.entry for node in self.nodes]}}},
            "/api/cluster_status": {"data": {"clusterStatus": {"loadMetricsReport": {"usageByNode": usage}}}},
            "/api/version": {"version": "4", "ray_version": self.ray_version},
            "/api/serve/applications/": {"proxies": proxies, "applications": self.applications},
        }
        return httpx.Response(200, json=bodies[request.url.path])


def running(*deployments: str, status: str = "RUNNING", **states: str) -> dict[str, Any]:
    """A Serve application, as its REST interface describes it, shortened."""
    told = {name: {"name": name, "status": states.get(name, "HEALTHY"), "message": ""} for name in deployments}
    for deployment in told.values():
        deployment["required_resources"] = {"CPU": 0.25}  # type: ignore[assignment]
    return {"status": status, "message": "", "deployments": told}
