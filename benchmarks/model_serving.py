"""A reward model behind the service, against a server of OpenRLHF's own kind, with the same model and the same traffic.

The model is a decoder of Llama's shape with random weights (13M parameters beside the embeddings, fp32) on the CPU.
The traffic is OpenRLHF's: one query a request, a burst of 64 at once (and, in one round, of 256), in the order in which
samples finish, which is any. Prompts have 500 tokens, responses 190 on average (log-normal, sigma 0.75, 16 to 1,000).
Once eight samples share each prompt, as in a training with n = 8: computed once, the prompts leave 2.7 times fewer
tokens. Once no two share one: what the service costs where it saves no token, less what it gains by multiplying fp32 by
oneDNN (on AMD's CPUs; `rayreward.models.cpu_linear`).

The peer (`peers/serve_rm_model.py`) computes in its async handler, one request after the other. Both are measured in
every round, in turns, and both compute with one thread: two of them would wait for each other on a busy machine, and
burn what they wait. CPU seconds are those of all processes of the server: for the service of every Ray process, less
what they use while nothing is asked; the client's are in neither. The scores of both are compared, sample by sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from measuring import arguments, cpu_s_of, idle_cores, load, report, spreads, started_processes, target
from ray import serve

from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster, free_port

PEER = Path(__file__).with_name("peers") / "serve_rm_model.py"
PROMPT_TOKENS, MEAN_RESPONSE_TOKENS, SIGMA = 500, 190, 0.75
SIBLINGS = 8
BURSTS = (64, 256)
WARMING = 16
MAX_LENGTH = 2048
WIDTH, LAYERS = 384, 8
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
WORDS = 4000


@dataclass(frozen=True)
class Server:
    """Where queries go, and whose CPU they cost."""

    url: str
    cpu_s: Callable[[], float]
    idle_cores: float = 0.0


def make_model(folder: Path) -> None:
    """A decoder with one label, and a tokenizer that takes a word for a token."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {
        word: position for position, word in enumerate(["<unk>", "</s>", "<pad>", *map(word_of, range(WORDS))])
    }
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    words.add_special_tokens(["</s>", "<pad>"])
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, intermediate_size=11 * WIDTH // 4, num_hidden_layers=LAYERS,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=4096, num_labels=1, bos_token_id=None,
        eos_token_id=1, pad_token_id=2, initializer_range=0.05,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)


def word_of(number: int) -> str:
    return f"w{number}"


def burst(count: int, *, siblings: int, dice: random.Random) -> list[dict[str, Any]]:
    """One request a sample, in the order in which samples finish: any."""
    mu = _log_mean()
    bodies = []
    for _ in range(count // siblings):
        prompt = " ".join(word_of(dice.randrange(WORDS)) for _ in range(PROMPT_TOKENS))
        for _ in range(siblings):
            tokens = min(1000, max(16, round(dice.lognormvariate(mu, SIGMA))))
            response = " ".join(word_of(dice.randrange(WORDS)) for _ in range(tokens))
            bodies.append({"query": [f"{prompt} {response}</s>"], "prompts": [f"{prompt} "], "labels": [""]})
    dice.shuffle(bodies)
    return bodies


def _log_mean() -> float:
    """Of the logarithm, so that the mean is `MEAN_RESPONSE_TOKENS`."""
    return math.log(MEAN_RESPONSE_TOKENS) - SIGMA**2 / 2


@contextlib.contextmanager
def peer(model: Path) -> Iterator[Server]:
    port = free_port("127.0.0.1")
    command = [sys.executable, str(PEER), str(port), str(model), str(MAX_LENGTH)]
    with subprocess.Popen(command, env={**os.environ, **ONE_THREAD}) as process:
        try:
            url, own = f"http://127.0.0.1:{port}", psutil.Process(process.pid)
            wait_until_up(f"{url}/")
            yield Server(f"{url}/get_reward", lambda: cpu_s_of([own]))
        finally:
            process.terminate()


@contextlib.contextmanager
def service(model: Path, *, besides: Sequence[int]) -> Iterator[Server]:
    port = free_port("127.0.0.1")
    reward = {
        "name": "quality",
        "builtin": "reward_model",
        "args": {
            "model_path": str(model),
            "device": "cpu",
            "chat_template": "plain",
            "max_length": MAX_LENGTH,
            "max_step_tokens": 4096,
        },
        "num_replicas": 1,
        "cache_entries": 0,
        "ray_actor_options": {"num_gpus": 0, "num_cpus": 1, "runtime_env": {"env_vars": ONE_THREAD}},
    }
    config = {"rewards": [reward], "listen": {"host": "127.0.0.1", "port": port}}
    with EmbeddedCluster(needs_dashboard=False):
        serve.run(build_app(ServiceConfig.parse(config, source="benchmark")), name=APP_NAME, route_prefix="/")
        url = f"http://127.0.0.1:{port}"
        wait_until_up(f"{url}/ready")
        processes = started_processes(besides=besides)
        try:
            yield Server(f"{url}/get_reward", lambda: cpu_s_of(processes), idle_cores(lambda: cpu_s_of(processes)))
        finally:
            serve.delete(APP_NAME)


def wait_until_up(url: str) -> None:
    for _ in range(1200):
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody answers at {url}")


async def ask(url: str, bodies: Sequence[dict[str, Any]]) -> list[float]:
    """Every request at once; the score of each."""
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(timeout=600.0, limits=limits, trust_env=False) as http:
        answers = await asyncio.gather(*(http.post(url, json=body) for body in bodies))
    for answer in answers:
        answer.raise_for_status()
        if any(valid != 1.0 for valid in answer.json()["extra_logs"].get("reward_valid", [])):
            raise RuntimeError(f"a sample was not scored: {answer.text[:500]}")
    return [float(answer.json()["rewards"][0]) for answer in answers]


def measure(server: Server, bodies: Sequence[dict[str, Any]]) -> tuple[dict[str, float], list[float]]:
    before_s, started_s = server.cpu_s(), time.perf_counter()
    scores = asyncio.run(ask(server.url, bodies))
    wall_s, spent_s = time.perf_counter() - started_s, server.cpu_s() - before_s
    net_s = max(1e-9, spent_s - wall_s * server.idle_cores)
    return {"samples_per_cpu_s": len(bodies) / net_s, "samples_per_s": len(bodies) / wall_s}, scores


def compare(servers: dict[str, Server], *, count: int, siblings: int, rounds: int) -> dict[str, Any]:
    """Both in turns, each round with a burst of its own."""
    measured: list[dict[str, dict[str, float]]] = []
    difference = 0.0
    for number in range(rounds + 1):
        size = count if number else WARMING
        bodies = burst(size, siblings=siblings, dice=random.Random(f"{count} {siblings} {number}"))
        order = list(servers) if number % 2 else list(reversed(servers))
        found = {name: measure(servers[name], bodies) for name in order}
        ours, theirs = (found[name][1] for name in ("rayreward", "serve_rm"))
        difference = max(difference, *(abs(one - other) for one, other in zip(ours, theirs, strict=True)))
        if number:  # the first warms both
            measured.append({name: figures for name, (figures, _) in found.items()})
    ratios = {
        key: spreads([{key: one["rayreward"][key] / one["serve_rm"][key]} for one in measured])[key]
        for key in ("samples_per_cpu_s", "samples_per_s")
    }
    table: dict[str, Any] = {name: spreads([one[name] for one in measured]) for name in servers}
    return {**table, "ratio": ratios, "largest_difference_of_scores": difference}


def main() -> None:
    options, load_before = arguments(__doc__), load()
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        with peer(Path(folder)) as theirs:
            spared = [process.pid for process in started_processes()]
            with service(Path(folder), besides=spared) as ours:
                servers = {"rayreward": ours, "serve_rm": theirs}
                rows = {
                    f"{kind}, bursts of {count}": compare(
                        servers, count=count, siblings=siblings, rounds=options.rounds if count < 100 else 1
                    )
                    for kind, siblings in ((f"{SIBLINGS} samples a prompt", SIBLINGS), ("no siblings", 1))
                    for count in BURSTS
                }
    first = rows[f"{SIBLINGS} samples a prompt, bursts of {BURSTS[0]}"]["ratio"]
    targets = {
        "samples_per_cpu_s_with_siblings": target(first["samples_per_cpu_s"]["median"], at_least=2.5),
        "samples_per_s_with_siblings": target(first["samples_per_s"]["median"], at_least=2.5),
    }
    report(__doc__, {"rows": rows, "targets": targets}, options.out, load_before=load_before)


if __name__ == "__main__":
    main()
