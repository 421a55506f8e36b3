"""What an HTTP request costs: the router's own port, against FastAPI, a serve_rm-like server and Serve's proxy.

Single-sample requests of OpenRLHF's shape (0.9 KB), a new connection each, 64 and 256 at once, from a client process
whose CPU is not counted. Every path is measured in every round, the rounds one after the other, so that whatever else
the machine does falls on all alike; medians with their spread. CPU seconds are those of all processes of the server:
for the paths of rayreward, of every Ray process, less what they use while nothing is asked.

Further: a lone request against a bare handle call, and one request of 1,024 samples of 4 KB as JSON and as msgpack,
whose CPU is the client's and the cluster's together. JSON on stdout, and in the file that ``--out`` names.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
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
import ray
from ray import serve

from rayreward import HttpClient, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster, free_port

PEERS = Path(__file__).with_name("peers")
CONCURRENCIES = (64, 256)
LENGTH = {"builtin": "length", "args": {"target": 5}, "isolation": "inline"}
REWARDS = [
    {"name": "coalesced", "num_replicas": 1, **LENGTH},
    {"name": "in_router", "in_router": True, **LENGTH},
    {"name": "model", "import_path": f"{PEERS / 'model_like.py'}::model_like", "num_replicas": 1},
]
SAMPLE = Sample(prompt="p" * 300, response="r" * 600, label="1")
IDLE_S = 5.0


@dataclass(frozen=True)
class Target:
    """Where requests go, how many a round, and whose CPU they cost."""

    url: str
    count: int
    cpu_s: Callable[[], float]
    idle_cpu_share: float = 0.0


def tree_cpu_s(processes: list[psutil.Process]) -> float:
    """CPU seconds so far of the processes that live."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def peer(name: str) -> Iterator[tuple[str, psutil.Process]]:
    port = free_port("127.0.0.1")
    with subprocess.Popen([sys.executable, str(PEERS / f"{name}.py"), str(port)]) as process:
        try:
            wait_until_up(f"http://127.0.0.1:{port}/openapi.json")
            yield f"http://127.0.0.1:{port}/get_reward", psutil.Process(process.pid)
        finally:
            process.terminate()


def wait_until_up(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


def measure(target: Target, concurrency: int, count: int) -> dict[str, float]:
    url = urlsplit(target.url)
    command = [sys.executable, str(PEERS / "client.py"), url.hostname, url.port, url.path, concurrency, count]
    before_s, started_s = target.cpu_s(), time.perf_counter()
    said = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, timeout=300)
    spent_s, wall_s = target.cpu_s() - before_s, time.perf_counter() - started_s
    result: dict[str, float] = json.loads(said.stdout)
    net_s = max(0.0, spent_s - wall_s * target.idle_cpu_share)
    return {**result, "cpu_us_per_request": net_s / count * 1e6, "gross_cpu_us_per_request": spent_s / count * 1e6}


def summarise(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        key: {
            "median": statistics.median(one[key] for one in rounds),
            "min": min(one[key] for one in rounds),
            "max": max(one[key] for one in rounds),
        }
        for key in rounds[0]
    }


def doors(targets: dict[str, Target], rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for concurrency in CONCURRENCIES:
        for target in targets.values():
            measure(target, concurrency, max(concurrency, target.count // 10))  # warm
        measured = [
            {name: measure(one, concurrency, one.count) for name, one in targets.items()} for _ in range(rounds)
        ]
        table: dict[str, Any] = {name: summarise([one[name] for one in measured]) for name in targets}
        table["against_fastapi"] = {
            name: {
                "cpu": ratio(measured, name, "fastapi_noop", "cpu_us_per_request"),
                "requests_per_s": ratio(measured, name, "fastapi_noop", "requests_per_s"),
            }
            for name in targets
        }
        table["model_against_serve_rm"] = ratio(measured, "listener_model", "serve_rm_style", "requests_per_s")
        result[f"concurrency_{concurrency}"] = table
    return result


def ratio(rounds: list[dict[str, dict[str, float]]], name: str, to: str, key: str) -> float:
    """The median over rounds of one path's figure to another's in the same round."""
    return statistics.median(one[name][key] / max(one[to][key], 1e-9) for one in rounds)


async def lone(url: str, rounds: int) -> dict[str, Any]:
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
    medians = {name: statistics.median(times) * 1e3 for name, times in taken.items()}
    return {
        **{f"{name}_p50_ms": medians[name] for name in medians},
        "ratio": medians["request"] / medians["handle_call"],
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
                before = (tree_cpu_s([own]), cluster.cpu_s(), time.perf_counter())
                for part in range(4):
                    asked = big_samples(f"{format} {number} {part}")
                    outputs = await client.ascore(asked, reward="coalesced")
                after = (tree_cpu_s([own]), cluster.cpu_s(), time.perf_counter())
            assert all(output.score is not None for output in outputs)
            client_s, cluster_s, wall_s = (end - start for start, end in zip(before, after, strict=True))
            cluster_s -= wall_s * cluster.idle_cpu_share
            samples = 4 * 1024
            if number:
                measured[format].append(
                    {
                        "cpu_us_per_sample": (client_s + cluster_s) / samples * 1e6,
                        "client_cpu_us_per_sample": client_s / samples * 1e6,
                        "samples_per_s": samples / wall_s,
                    }
                )
    return {format: summarise(rounds_of) for format, rounds_of in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    load_before = os.getloadavg()[0]
    with EmbeddedCluster() as cluster, peer("fastapi_noop") as fastapi, peer("serve_rm_style") as rm:
        config = {"rewards": REWARDS, "listen": {"port": free_port("127.0.0.1")}}
        serve.run(build_app(ServiceConfig.parse(config, source="benchmark")), name=APP_NAME)
        url = cluster.fast_url()
        if url is None:
            raise RuntimeError("the router has no port of its own: somebody took it just now")
        peers = {fastapi[1].pid, rm[1].pid}
        own = psutil.Process()
        nodes = [process for process in own.children(recursive=True) if process.pid not in peers]
        idle_s = tree_cpu_s(nodes)
        time.sleep(IDLE_S)
        idle_share = (tree_cpu_s(nodes) - idle_s) / IDLE_S
        of_cluster = {"cpu_s": lambda: tree_cpu_s(nodes), "idle_cpu_share": idle_share}
        targets = {
            "fastapi_noop": Target(fastapi[0], 4000, lambda: tree_cpu_s([fastapi[1]])),
            "listener_coalesced": Target(f"{url}/coalesced/get_reward", 4000, **of_cluster),
            "listener_in_router": Target(f"{url}/in_router/get_reward", 4000, **of_cluster),
            "serve_proxy": Target(f"{cluster.url}/coalesced/get_reward", 400, **of_cluster),
            "serve_rm_style": Target(rm[0], 128, lambda: tree_cpu_s([rm[1]])),
            "listener_model": Target(f"{url}/model/get_reward", 2048, **of_cluster),
        }
        result = {
            "doors": doors(targets, asked.rounds),
            "lone_request": asyncio.run(lone(url, asked.rounds)),
            "samples_1024_of_4_kb": asyncio.run(big(url, targets["listener_coalesced"], asked.rounds)),
        }
    machine = {
        "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
        "ray": ray.__version__, "load_before": load_before, "load_after": os.getloadavg()[0],
        "idle_cpu_share_of_the_cluster": idle_share,
    }  # fmt: skip
    text = json.dumps({"machine": machine, "rounds": asked.rounds, **result}, indent=2)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
