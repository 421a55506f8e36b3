"""What an HTTP request costs: the router's own port, against plain servers, reward servers and Serve's proxy.

Single-sample requests of OpenRLHF's shape (0.9 KB), a new connection each, 64 and 256 at once, from a client process
whose CPU is not counted. Every path is measured in every round. CPU seconds are those of all processes of the server:
for the paths of rayreward, of every Ray process, less what they use while nothing is asked.

The peers: an ASGI function under uvicorn, FastAPI, both answering a constant; an async handler that blocks for 20 ms
and 0.2 ms a sample, as OpenRLHF's own reward server computes in its handler, against the same reward behind the
router; reward-kit's own server with a trivial reward, where ``--reward-kit-python`` names a Python that has it. And a
floor: the router's listener around a trivial reward, without any of the router's policies.

Further: a lone request against a bare handle call, and one request of 1,024 samples of 4 KB as JSON and as msgpack,
whose CPU is the client's and the cluster's together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from measuring import cpu_s_of, idle_cores, load, report, spreads, started_processes, target
from ray import serve

from rayreward import HttpClient, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster, free_port

PEERS = Path(__file__).with_name("peers")
PEER_NAMES = ("uvicorn_noop", "fastapi_noop", "bare_door", "serve_rm_style")
CONCURRENCIES = (64, 256)
LENGTH = {"builtin": "length", "args": {"target": 5}, "isolation": "inline"}
REWARDS = [
    {"name": "coalesced", "num_replicas": 1, **LENGTH},
    {"name": "in_router", "in_router": True, **LENGTH},
    {"name": "model", "import_path": f"{PEERS / 'model_like.py'}::model_like", "num_replicas": 1},
]
SAMPLE = Sample(prompt="p" * 300, response="r" * 600, label="1")


@dataclass(frozen=True)
class Target:
    """Where requests go, how many a round, and whose CPU they cost."""

    url: str
    count: int
    cpu_s: Callable[[], float]
    idle_cores: float = 0.0
    shape: str = "openrlhf"


@contextlib.contextmanager
def peer(name: str, python: str = sys.executable) -> Iterator[tuple[str, psutil.Process]]:
    port = free_port("127.0.0.1")
    with subprocess.Popen([python, str(PEERS / f"{name}.py"), str(port)]) as process:
        try:
            wait_until_up(port)
            yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


def wait_until_up(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody answers on port {port}")


def measure(target: Target, concurrency: int, count: int) -> dict[str, float]:
    url = urlsplit(target.url)
    where = [url.hostname, url.port, url.path, concurrency, count, target.shape]
    command = [sys.executable, PEERS / "client.py", *where]
    before_s, started_s = target.cpu_s(), time.perf_counter()
    said = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, timeout=300)
    spent_s, wall_s = target.cpu_s() - before_s, time.perf_counter() - started_s
    result: dict[str, float] = json.loads(said.stdout)
    net_s = max(0.0, spent_s - wall_s * target.idle_cores)
    return {**result, "cpu_us_per_request": net_s / count * 1e6, "gross_cpu_us_per_request": spent_s / count * 1e6}


def doors(targets: dict[str, Target], rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for concurrency in CONCURRENCIES:
        for target_ in targets.values():
            measure(target_, concurrency, max(concurrency, target_.count // 10))  # warm
        measured = [
            {name: measure(one, concurrency, one.count) for name, one in targets.items()} for _ in range(rounds)
        ]
        table: dict[str, Any] = {name: spreads([one[name] for one in measured]) for name in targets}
        table["against_fastapi"] = {
            name: {
                "cpu": ratio(measured, name, "fastapi_noop", "cpu_us_per_request"),
                "requests_per_s": ratio(measured, name, "fastapi_noop", "requests_per_s"),
            }
            for name in targets
        }
        table["model_against_serve_rm"] = ratio(measured, "listener_model", "serve_rm_style", "requests_per_s")
        result[str(concurrency)] = table
    return result


def ratio(rounds: list[dict[str, dict[str, float]]], name: str, to: str, key: str) -> float:
    """The median over rounds of one path's figure to another's in the same round."""
    return statistics.median(one[name][key] / max(one[to][key], 1e-9) for one in rounds)


async def lone(url: str, rounds: int) -> dict[str, float]:
    """A request while nothing else is asked, and the handle call that it cannot do without."""
    handle = serve.get_deployment_handle("coalesced", APP_NAME)
    address, body = f"{url}/coalesced/get_reward", {"prompts": ["p" * 300], "labels": ["1"]}
    taken: dict[str, list[float]] = {"request": [], "handle_call": []}
    async with httpx.AsyncClient(trust_env=False) as http:
        for number in range(20 + rounds * 20):
            started_s = time.perf_counter()
            query = ["p" * 300 + f"{number} " + "r" * 600]  # another sample each time: known scores are not asked again
            (await http.post(address, json={**body, "query": query})).raise_for_status()
            asked_s = time.perf_counter()
            await handle.score.remote([SAMPLE])
            if number >= 20:
                taken["request"].append(asked_s - started_s)
                taken["handle_call"].append(time.perf_counter() - asked_s)
    medians_ms = {name: statistics.median(times) * 1e3 for name, times in taken.items()}
    return {
        "request_p50_ms": medians_ms["request"],
        "handle_call_p50_ms": medians_ms["handle_call"],
        "in_handle_calls": medians_ms["request"] / medians_ms["handle_call"],
    }


def big_samples(salt: str) -> list[Sample]:
    """Samples that nobody has asked for yet."""
    return [Sample(prompt="p" * 2048, response=f"{salt} {at} " + "r" * 2048, label="1") for at in range(1024)]


async def big(url: str, cluster: Target, rounds: int) -> dict[str, Any]:
    """One request of many samples, in either format, to a replica and back."""
    own = psutil.Process()
    measured: dict[str, list[dict[str, float]]] = {"json": [], "msgpack": []}
    for number in range(rounds + 1):
        for format in ("json", "msgpack"):
            async with HttpClient(url, format=format) as client:  # type: ignore[arg-type]
                before = (cpu_s_of([own]), cluster.cpu_s(), time.perf_counter())
                for part in range(4):
                    asked = big_samples(f"{format} {number} {part}")
                    outputs = await client.ascore(asked, reward="coalesced")
                after = (cpu_s_of([own]), cluster.cpu_s(), time.perf_counter())
            assert all(output.score is not None for output in outputs)
            client_s, cluster_s, wall_s = (end - start for start, end in zip(before, after, strict=True))
            cluster_s -= wall_s * cluster.idle_cores
            samples = 4 * 1024
            if number:
                measured[format].append(
                    {
                        "cpu_us_per_sample": (client_s + cluster_s) / samples * 1e6,
                        "client_cpu_us_per_sample": client_s / samples * 1e6,
                        "samples_per_s": samples / wall_s,
                    }
                )
    return {format: spreads(rounds_of) for format, rounds_of in measured.items()}


def targets_of(result: dict[str, Any]) -> dict[str, Any]:
    at_64, at_256 = (result["doors"][key] for key in ("64", "256"))
    of_64, of_256 = at_64["against_fastapi"], at_256["against_fastapi"]
    large = result["samples_1024_of_4_kb"]
    return {
        "coalesced_cpu_64": target(of_64["listener_coalesced"]["cpu"], at_most=2.0),
        "coalesced_cpu_256": target(of_256["listener_coalesced"]["cpu"], at_most=1.5),
        "coalesced_requests_per_s_64": target(of_64["listener_coalesced"]["requests_per_s"], at_least=0.7),
        "coalesced_requests_per_s_256": target(of_256["listener_coalesced"]["requests_per_s"], at_least=0.7),
        "in_router_cpu_64": target(of_64["listener_in_router"]["cpu"], at_most=0.8),
        "in_router_cpu_256": target(of_256["listener_in_router"]["cpu"], at_most=0.8),
        "model_against_serve_rm_64": target(at_64["model_against_serve_rm"], at_least=20.0),
        "model_against_serve_rm_256": target(at_256["model_against_serve_rm"], at_least=20.0),
        "lone_request_in_handle_calls": target(result["lone_request"]["in_handle_calls"], at_most=2.0),
        "big_json_cpu_us": target(large["json"]["cpu_us_per_sample"]["median"], at_most=120.0),
        "big_msgpack_cpu_us": target(large["msgpack"]["cpu_us_per_sample"]["median"], at_most=80.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reward-kit-python", help="of an environment with reward-kit")
    asked, load_before = parser.parse_args(), load()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(EmbeddedCluster())
        peers = {name: stack.enter_context(peer(name)) for name in PEER_NAMES}
        if asked.reward_kit_python:
            peers["reward_kit"] = stack.enter_context(peer("reward_kit_server", asked.reward_kit_python))
        config = {"rewards": REWARDS, "listen": {"port": free_port("127.0.0.1")}}
        serve.run(build_app(ServiceConfig.parse(config, source="benchmark")), name=APP_NAME)
        url = cluster.fast_url()
        if url is None:
            raise RuntimeError("the router has no port of its own: somebody took it just now")
        nodes = started_processes(besides=[process.pid for _, process in peers.values()])
        idle = idle_cores(lambda: cpu_s_of(nodes))

        def ours(address: str, count: int) -> Target:
            return Target(address, count, lambda: cpu_s_of(nodes), idle)

        def theirs(name: str, count: int, path: str = "/get_reward", shape: str = "openrlhf") -> Target:
            address, process = peers[name]
            return Target(f"{address}{path}", count, lambda: cpu_s_of([process]), shape=shape)

        targets = {
            "uvicorn_noop": theirs("uvicorn_noop", 8000),
            "fastapi_noop": theirs("fastapi_noop", 8000),
            "bare_door": theirs("bare_door", 8000),
            "listener_coalesced": ours(f"{url}/coalesced/get_reward", 8000),
            "listener_in_router": ours(f"{url}/in_router/get_reward", 8000),
            "serve_proxy": ours(f"{cluster.url}/coalesced/get_reward", 400),
            "serve_rm_style": theirs("serve_rm_style", 128),
            "listener_model": ours(f"{url}/model/get_reward", 2048),
        }
        if "reward_kit" in peers:
            targets["reward_kit"] = theirs("reward_kit", 2000, "/reward", "chat")
        result = {
            "rounds": asked.rounds,
            "idle_cores": idle,
            "doors": doors(targets, asked.rounds),
            "lone_request": asyncio.run(lone(url, asked.rounds)),
            "samples_1024_of_4_kb": asyncio.run(big(url, targets["listener_coalesced"], asked.rounds)),
        }
    report(__doc__, {**result, "targets": targets_of(result)}, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
