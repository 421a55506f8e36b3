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
from rayreward.router.config import ListenSpec, ServiceConfig, read_service_config
from rayreward.scoring.find_reward import rewards_in_file
from rayreward.serve.cluster import EmbeddedCluster, check_port

_LAST_PORT = 65_535


def serve(
    target: str, *, host: str = "127.0.0.1", port: int = 8000, name: str = "rewards", dry_run: bool = False
) -> None:
    """Serve `target` until interrupted.

    Args:
        target: a YAML file, a folder with ``rewards.yaml``, a Python file (every reward in it), ``file.py::name``,
            ``package.module:name``, or a built-in that needs no arguments.
        host: where to listen.
        port: where to listen; the router's own port is the next one, where the target does not say.
        name: of the Serve application.
        dry_run: check everything and stop.

    Raises:
        ConfigError: the target cannot be served, or the port is taken.
        RewardLoadError: a reward's code cannot be loaded.
    """
    console = Console(stderr=True)
    config = _with_listener(read_target(target), host, port)
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
        fast_url = ray_serve.get_app_handle(name).reached.remote().result().fast_url
        console.print(_banner(config, url, fast_url), highlight=False, soft_wrap=True)
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


def _with_listener(config: ServiceConfig, host: str, port: int) -> ServiceConfig:
    """With the router's own port beside Serve's, unless the configuration says where, or that there is none."""
    if "listen" in config.model_fields_set or port == _LAST_PORT:
        return config
    return config.model_copy(update={"listen": ListenSpec(host=host, port=port + 1)})


def _banner(config: ServiceConfig, proxy_url: str, fast_url: str | None) -> str:
    url = fast_url or proxy_url
    lines = [f"Serving at {url} (Ctrl-C stops it)"]
    if fast_url is not None:
        lines.append(f"  also at {proxy_url}, through Ray Serve's proxy: slower, but on every node")
    elif config.listen is not None and config.listen.port:
        lines.append(
            f"  port {config.listen.port} is taken: every request goes through Ray Serve's proxy, which is slow"
        )
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
