"""`rayreward serve`: rewards from a YAML file, a Python file or an address, served until Ctrl-C.

What arrives: what to serve and where. What leaves: a service on this machine, or on the cluster that RAY_ADDRESS
names; its URLs on stderr. Everything that can be refused is refused before anything starts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from rayreward.errors import ConfigError
from rayreward.rewards import BUILTINS
from rayreward.router.config import ServiceConfig, read_service_config
from rayreward.scoring.find_reward import rewards_in_file
from rayreward.serve.cluster import EmbeddedCluster, check_port


def serve(
    target: str, *, host: str = "127.0.0.1", port: int = 8000, name: str = "rewards", dry_run: bool = False
) -> None:
    """Serve `target` until interrupted.

    Args:
        target: a YAML file, a folder with ``rewards.yaml``, a Python file (every reward in it), ``file.py::name``,
            ``package.module:name``, or a built-in that needs no arguments.
        host: where to listen.
        port: where to listen.
        name: of the Serve application.
        dry_run: check everything and stop.

    Raises:
        ConfigError: the target cannot be served, or the port is taken.
        RewardLoadError: a reward's code cannot be loaded.
    """
    console = Console(stderr=True)
    config = read_target(target)
    for spec in config.rewards:
        spec.build()  # what fails to load here would fail in its replica, later and further away
    if not os.environ.get("RAY_ADDRESS"):
        check_port(host, port)
    if dry_run:
        console.print(f"{target}: {', '.join(spec.name for spec in config.rewards)}: everything loads")
        return
    with _cluster(host, port) as url:
        from ray import serve as ray_serve

        from rayreward.serve.app import build_app

        console.print(f"Starting {len(config.rewards)} reward(s) …")
        ray_serve.run(build_app(config), name=name, route_prefix="/")
        console.print(_banner(config, url), highlight=False, soft_wrap=True)
        try:
            _wait_for_interrupt()
        finally:
            console.print("Stopping …")
            ray_serve.delete(name)


def read_target(target: str) -> ServiceConfig:
    """The configuration that a target stands for.

    Raises:
        ConfigError: nothing there can be served.
    """
    path = Path(target)
    if path.is_dir():
        path = path / "rewards.yaml"
    if path.suffix in (".yaml", ".yml"):
        return read_service_config(path)
    if path.suffix == ".py":
        addresses = [f"{target}::{name}" for name in rewards_in_file(target)]
    elif ":" in target:
        addresses = [target]
    elif target in BUILTINS:
        return ServiceConfig.parse({"rewards": [{"name": target, "builtin": target}]}, source=target)
    else:
        raise ConfigError(
            f"{target!r} is no YAML file, no Python file, no address (my_rewards.py::name) and no built-in reward"
        )
    rewards = [{"name": address.replace("::", ":").rsplit(":", 1)[-1], "import_path": address} for address in addresses]
    config = ServiceConfig.parse({"rewards": rewards}, source=target)
    config.check_loadable(target)
    return config


@contextmanager
def _cluster(host: str, port: int) -> Iterator[str]:
    """The cluster of RAY_ADDRESS, or one inside this process; yields the URL of its proxy."""
    if not os.environ.get("RAY_ADDRESS"):
        with EmbeddedCluster(cpus=max(8, os.cpu_count() or 1), host=host, port=port) as cluster:
            yield cluster.url
        return
    import ray
    from ray import serve as ray_serve

    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    try:
        ray_serve.start(http_options={"host": host, "port": port})
        yield f"http://{host}:{port}"
    finally:
        ray.shutdown()


def _banner(config: ServiceConfig, url: str) -> str:
    lines = [f"Serving at {url} (Ctrl-C stops it)"]
    for spec in config.rewards:
        lines.append(f"  {spec.name}: POST {url}/v1/rewards/{spec.name}   OpenRLHF: {url}/{spec.name}/get_reward")
    return "\n".join(lines)


def _wait_for_interrupt() -> None:
    """Until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    kept = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        stop.wait()
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        signal.signal(signal.SIGTERM, kept)
