"""What can be refused before anything starts.

What arrives: a spec, the job rendered from it, and the cluster's dashboard. What leaves: nothing, or one `ConfigError`
that lists every `Finding` with its remedy. What it promises: nothing is started and nothing is written; each check is
a function of its own that returns its findings.

Each of these would otherwise show after minutes, on machines that are paid for: as an assertion of OpenRLHF, a KeyError
in its data loader, a placement group that waits for ever, or a run that dies of its first lost reward.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from rayreward.errors import ConfigError, did_you_mean
from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF
from rayreward.jobs.openrlhf.parser import installed_version
from rayreward.jobs.openrlhf.spec import GROUP_ESTIMATORS, OpenRLHFSpec
from rayreward.jobs.render import RenderedJob, add_run_id
from rayreward.jobs.sections import is_local

CHECKED_ROWS = 10_000
"""Prompts that are read; a broken one further down is found by the training. Reading them takes about 0.1 s."""

PROBE_TIMEOUT_S = 30.0
"""OpenRLHF waits 180 s for one answer; a reward that needs this long for a lone sample would stall every rollout."""

PREFLIGHT_RUN = "preflight"
"""The run that probes belong to, so that they are in no training's means."""

TRAINER_CPUS = 1
"""For OpenRLHF's own coordinating actor, besides one CPU that it asks for with each GPU."""


@dataclass(frozen=True)
class Finding:
    """One thing that cannot work: which check found it, what it found, and what to do."""

    check: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.check}: {self.found}; {self.remedy}"


@dataclass(frozen=True)
class Resources:
    """GPUs and CPUs, asked for or free."""

    gpus: float
    cpus: float


def preflight(
    spec: OpenRLHFSpec,
    job: RenderedJob,
    *,
    dashboard_url: str | None = None,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Check versions, plan, prompts and reward, and the cluster where its dashboard is named.

    Raises:
        ConfigError: everything that was found, one line each.
    """
    findings = [*check_version(), *check_batches(spec), *check_placement(spec)]
    findings += [*check_model(spec), *check_prompts(spec)]
    # Without proxies of the environment: OpenRLHF's own client knows none either.
    with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False, transport=transport) as http:
        findings += [finding for url in job.reward_urls for finding in check_reward(url, read_probe(spec), http)]
        if dashboard_url is not None and not spec.resources.autoscaled:
            findings += check_room(plan_resources(spec), read_free_resources(dashboard_url, http))
    if findings:
        raise ConfigError("\n".join(f"{spec.name}: {finding}" for finding in findings))


def check_version() -> Iterator[Finding]:
    """Whether the OpenRLHF that will run is one that the flags were written for."""
    version = installed_version()
    if version != SUPPORTED_OPENRLHF:
        found = f"openrlhf {version} is installed" if version else "openrlhf is not installed"
        yield Finding("version", found, f"pip install openrlhf=={SUPPORTED_OPENRLHF}")


def check_batches(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """The arithmetic that OpenRLHF and DeepSpeed assert, or silently train nothing by."""
    rollout, train, ranks = spec.rollout, spec.train, spec.resources.actor.gpus
    per_step = rollout.samples_per_step
    if spec.algorithm.estimator in GROUP_ESTIMATORS and rollout.n_samples_per_prompt == 1:
        found = f"{spec.algorithm.estimator} compares the samples of a prompt, and there is one"
        yield Finding("batches", found, "set rollout.n_samples_per_prompt to 2 or more, or take another estimator")
    if spec.algorithm.dynamic_filtering and rollout.n_samples_per_prompt == 1:
        found = "dynamic_filtering asks whether a prompt's samples differ, and there is one"
        yield Finding("batches", found, "set rollout.n_samples_per_prompt to 2 or more")
    if per_step // rollout.micro_batch_size < ranks:
        found = f"{per_step} samples in micro batches of {rollout.micro_batch_size} do not reach {ranks} actors"
        yield Finding("batches", found, f"set rollout.micro_batch_size to {max(1, per_step // ranks)} or less")
    if spec.train_batch_size > per_step:
        found = f"train.batch_size {spec.train_batch_size} is more than the {per_step} samples of a step"
        yield Finding("batches", found, "most steps would not change the model: leave train.batch_size out")
    if spec.train_batch_size % (train.micro_batch_size * ranks):
        found = f"train.batch_size {spec.train_batch_size} is no multiple of {train.micro_batch_size} x {ranks} actors"
        yield Finding("batches", found, "set train.micro_batch_size to a divisor")
    if rollout.max_new_tokens is not None and rollout.max_new_tokens >= spec.data.max_len:
        found = f"rollout.max_new_tokens {rollout.max_new_tokens} leaves no room for a prompt in {spec.data.max_len}"
        yield Finding("batches", found, "raise data.max_len: it counts prompt and response together")


def check_placement(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """What OpenRLHF asserts about models that share GPUs."""
    resources, is_async = spec.resources, spec.train.async_rollout
    actor, engines = resources.actor, resources.vllm
    if resources.colocate != "none" and spec.reference is not None and spec.reference != actor:
        found = f"reference ({spec.reference.gpus} GPUs) and actor ({actor.gpus}) share GPUs but differ in shape"
        yield Finding("placement", found, "leave resources.reference out")
    if resources.colocate == "all" and not is_async and engines.gpus != actor.gpus:
        found = f"engines ({engines.gpus} GPUs) and actor ({actor.gpus}) share GPUs but differ in number"
        yield Finding("placement", found, f"let resources.vllm engines x tensor_parallel be {actor.gpus}")
    for key, sleeps in (("resources.vllm.sleep", engines.sleep), ("train.sleep", spec.train.sleep)):
        if sleeps and (resources.colocate != "all" or is_async):
            found = f"{key} frees GPUs that nobody else uses"
            yield Finding("placement", found, "set it to false, or set colocate: all and async_rollout: false")


def plan_resources(spec: OpenRLHFSpec) -> Resources:
    """GPUs and CPUs that all actors together hold, as OpenRLHF asks for them."""
    resources = spec.resources
    actor = resources.actor.gpus
    reference = spec.reference.gpus if spec.reference is not None else 0
    critic = spec.critic.gpus if spec.critic is not None else 0
    if resources.colocate == "all":
        gpus = actor + (resources.vllm.gpus if spec.train.async_rollout else 0)
    elif resources.colocate == "actor_ref":
        gpus = actor + critic + resources.vllm.gpus
    else:
        gpus = actor + reference + critic + resources.vllm.gpus
    return Resources(gpus=gpus, cpus=gpus + TRAINER_CPUS)


def check_room(plan: Resources, free: Resources | None) -> Iterator[Finding]:
    """Whether the plan fits into what is free; it would wait for ever otherwise. Unknown room is no finding."""
    if free is None:
        return
    remedy = "free some, plan for fewer under resources, or set resources.autoscaled where the cluster adds nodes"
    if free.gpus < plan.gpus:
        yield Finding("cluster", f"the plan takes {plan.gpus:g} GPUs and {free.gpus:g} are free", remedy)
    if free.cpus < plan.cpus:
        yield Finding("cluster", f"the plan takes {plan.cpus:g} CPUs and {free.cpus:g} are free", remedy)


def read_free_resources(dashboard_url: str, http: httpx.Client) -> Resources | None:
    """What the cluster has left; None where its dashboard does not say."""
    try:
        status = http.get(f"{dashboard_url.rstrip('/')}/api/cluster_status").json()
        usage = status["data"]["clusterStatus"]["loadMetricsReport"]["usage"]
        if not usage.keys() & {"GPU", "CPU"}:
            # For some seconds after its start a cluster reports no usage at all: then nothing is in use yet.
            return _read_all_resources(dashboard_url, http)
        free = {kind: total - used for kind, (used, total) in usage.items() if kind in ("GPU", "CPU")}
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Resources(gpus=free.get("GPU", 0.0), cpus=free.get("CPU", 0.0))


def _read_all_resources(dashboard_url: str, http: httpx.Client) -> Resources:
    nodes = http.get(f"{dashboard_url.rstrip('/')}/api/v0/nodes", params={"detail": True}).json()
    alive = [node["resources_total"] for node in nodes["data"]["result"]["result"] if node["state"] == "ALIVE"]
    return Resources(gpus=sum(node.get("GPU", 0.0) for node in alive), cpus=sum(node.get("CPU", 0.0) for node in alive))


def check_model(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether a model that is named by its folder is there; a name on a hub is left to OpenRLHF."""
    for key, path in (("model.path", spec.model.path), ("model.critic_path", spec.model.critic_path)):
        if path is not None and is_local(path) and not (Path(path) / "config.json").is_file():
            yield Finding("model", f"{path} has no config.json", f"{key} must name a folder that every node can read")


def check_prompts(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the prompts can be read and have their keys; a name on a hub is left to OpenRLHF."""
    path = Path(spec.data.prompts)
    if not is_local(spec.data.prompts):
        return
    if not path.exists():
        yield Finding("prompts", f"{path} does not exist", "data.prompts must name a file that every node can read")
    elif path.suffix == ".jsonl":
        yield from _check_rows(spec, path)


def _check_rows(spec: OpenRLHFSpec, path: Path) -> Iterator[Finding]:
    number = 0
    try:
        for number, row in enumerate(_read_rows(path), start=1):
            mistake = _mistake_in_row(spec, row)
            if mistake is not None:
                found, remedy = mistake
                yield Finding("prompts", f"{path}, row {number}: {found}", remedy)
                return
    except (OSError, UnicodeDecodeError, ValueError) as error:
        yield Finding("prompts", f"{path}, row {number + 1}: cannot be read: {error}", "one JSON object a line")
        return
    if number == 0:
        yield Finding("prompts", f"{path} is empty", "one JSON object a line")


def _mistake_in_row(spec: OpenRLHFSpec, row: Any) -> tuple[str, str] | None:
    if not isinstance(row, Mapping):
        return f"a {type(row).__name__} instead of an object", "one JSON object a line"
    for setting, key in (("data.input_key", spec.data.input_key), ("data.label_key", spec.data.label_key)):
        if key is not None and row.get(key) is None:
            return f"no {key!r}, which {setting} asks for", did_you_mean(key, row)
    prompt = row[spec.data.input_key]
    if isinstance(prompt, list) and not spec.data.apply_chat_template:
        return f"{spec.data.input_key!r} is a list of messages", "set data.apply_chat_template to true"
    if not isinstance(prompt, (str, list)):
        return f"{spec.data.input_key!r} is a {type(prompt).__name__}", "a prompt is a text or a list of messages"
    return None


def _read_rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number == CHECKED_ROWS:
                return
            if line.strip():
                yield json.loads(line)


def read_probe(spec: OpenRLHFSpec) -> dict[str, list[Any]]:
    """The question that OpenRLHF would ask about the first prompt, answered with its label."""
    prompt, label = "Is this reward awake?", ""
    if is_local(spec.data.prompts) and not list(check_prompts(spec)) and spec.data.prompts.endswith(".jsonl"):
        row = next(_read_rows(Path(spec.data.prompts)))
        prompt = _last_text(row[spec.data.input_key])
        label = row[spec.data.label_key] if spec.data.label_key is not None else ""
    return {"query": [f"{prompt}{label}"], "prompts": [prompt], "labels": [label]}


def _last_text(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    return prompt if isinstance(prompt, str) else str(prompt[-1].get("content", ""))


def check_reward(url: str, probe: Mapping[str, Any], http: httpx.Client) -> Iterator[Finding]:
    """Whether a reward is healthy and answers one real prompt in the way that OpenRLHF can use."""
    try:
        health = http.get(health_url(url))
        if health.status_code >= 500:
            found = f"{health_url(url)} answers {health.status_code}: {health.text[:200]}"
            yield Finding("reward", found, "wait until the reward is ready, or look at its log")
            return
        answer = http.post(add_run_id(url, PREFLIGHT_RUN), json=dict(probe))
    except httpx.HTTPError as error:
        found = f"{url} cannot be reached: {type(error).__name__} {error}".rstrip()
        yield Finding("reward", found, "start it (rayreward serve), or correct reward.url")
        return
    mistake = mistake_in_answer(answer)
    if mistake is not None:
        remedy = "OpenRLHF needs 200 and {'rewards': [number]}, and dies of the first lost reward"
        yield Finding("reward", f"{url} answered one real prompt with {mistake}", remedy)


def health_url(url: str) -> str:
    """Where the service of a reward route says how it is.

    Example:
        >>> health_url("http://10.0.0.1:8000/tidy/get_reward?run=a")
        'http://10.0.0.1:8000/health'
    """
    return urlunsplit(urlsplit(url)._replace(path="/health", query=""))


def mistake_in_answer(answer: httpx.Response) -> str | None:
    """Why OpenRLHF could not use this answer; None where it can."""
    if answer.status_code != httpx.codes.OK:
        return f"status {answer.status_code}: {answer.text[:200]}"
    try:
        rewards = answer.json()["rewards"]
    except (ValueError, KeyError, TypeError):
        return f"no JSON object that holds 'rewards': {answer.text[:200]}"
    reward = rewards[0] if isinstance(rewards, list) and len(rewards) == 1 else rewards
    if not isinstance(reward, (int, float)) or not math.isfinite(reward):
        return f"rewards {rewards!r:.100}, which is not one finite number"
    return None
