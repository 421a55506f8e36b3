"""`.deploy()`: one function becomes a service of its own on the running cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from rayreward.client.handle import HandleClient
from rayreward.errors import ConfigError, ServiceUnavailableError
from rayreward.function import RewardFunction
from rayreward.router.config import ServiceConfig
from rayreward.types import RewardOutput


@dataclass(frozen=True)
class DeployedReward:
    """A deployed reward: call it like the function, or send HTTP to its URL.

    Attributes:
        name: of the reward and of its Serve application.
        url: takes native requests; ``url + "/get_reward"`` takes OpenRLHF's.
        client: scores batches through Ray.
    """

    name: str
    url: str
    client: HandleClient

    def __call__(self, messages: Any = None, original_messages: Any = None, **fields: Any) -> RewardOutput:
        """Score one conversation."""
        from rayreward.function import sample_from_call

        return self.client.score([sample_from_call(messages, original_messages, fields)])[0]

    def delete(self) -> None:
        """Take the reward down."""
        from ray import serve

        serve.delete(self.name)


def deploy(
    func: Callable[..., Any] | RewardFunction,
    *,
    name: str | None = None,
    num_replicas: int | None = None,
    autoscaling_config: Mapping[str, Any] | None = None,
    ray_actor_options: Mapping[str, Any] | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    env_vars: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    **arguments: Any,
) -> DeployedReward:
    """Ship a function or a reward to the running Ray cluster and wait until it is healthy.

    Args:
        func: the function, by value: it need not be importable on the cluster.
        name: of the deployment; the function's own by default. A second deployment of a name replaces the first.
        num_replicas: a fixed number; autoscaled by default.
        autoscaling_config: Ray Serve's keys.
        ray_actor_options: num_cpus, num_gpus, resources of a replica.
        runtime_env: its own dependencies.
        env_vars: environment of its replicas. Anybody who can read the cluster's state can read them.
        secrets: names of environment variables that must be set on the cluster's machines. Values never travel.
        arguments: what the function is called with.

    Raises:
        ServiceUnavailableError: Ray is not connected.
        ConfigError: an option is wrong, or a secret's value was given.
    """
    import ray
    from ray import serve

    from rayreward.serve.app import build_app

    if not ray.is_initialized():
        raise ServiceUnavailableError("deploy() needs a Ray cluster: call ray.init() or ray.init(address='auto') first")
    reward = func if isinstance(func, RewardFunction) else RewardFunction(func=func, **arguments)
    name = name or reward.name
    environment = {**(runtime_env or {})}
    if env_vars:
        environment["env_vars"] = {**environment.get("env_vars", {}), **env_vars}
    _check_secrets(secrets)
    config = ServiceConfig.parse(
        {
            "rewards": [
                {
                    "name": name,
                    "import_path": f"deployed:{name}",  # never loaded: the pickled reward travels beside it
                    "num_replicas": num_replicas,
                    "autoscaling_config": dict(autoscaling_config or {}),
                    "ray_actor_options": {
                        **(ray_actor_options or {}),
                        **({"runtime_env": environment} if environment else {}),
                    },
                }
            ]
        },
        source="deploy()",
    )
    serve.run(build_app(config, blobs={name: cloudpickle.dumps(reward)}), name=name, route_prefix=f"/{name}")
    return DeployedReward(name, f"{_http_root()}/{name}", HandleClient(app=name))


def _check_secrets(secrets: Sequence[str]) -> None:
    if isinstance(secrets, Mapping) or any("=" in secret for secret in secrets):
        raise ConfigError(
            "secrets are names of environment variables on the cluster's machines, never values: "
            "set the variable where Ray starts and give its name"
        )


def _http_root() -> str:
    from ray import serve

    details = serve.context._get_global_client().get_serve_details()
    options = details["http_options"]
    host = options["host"] if options["host"] not in ("0.0.0.0", "::") else "127.0.0.1"
    return f"http://{host}:{options['port']}"
