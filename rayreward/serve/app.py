"""Composes the Serve application: one deployment a version of a reward, one router in front. The only place that does.

What arrives: the configuration of a service. What leaves: a `serve.Application` for ``serve run``, ``serve deploy``
or `serve.run`. Nothing is started here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.schema import LoggingConfig

from rayreward.environment import with_environment
from rayreward.errors import ConfigError
from rayreward.router.config import ServiceConfig, read_service_config
from rayreward.router.prescale import DEFAULT_MAX_REPLICAS
from rayreward.router.sizing import USUAL_SAMPLES
from rayreward.serve.aiming import aimed_config
from rayreward.serve.replica import RewardReplica, ScaledReplica
from rayreward.serve.scaling import by_queued_work
from rayreward.serve.service import RewardService
from rayreward.spec import RewardSpec
from rayreward.workers.patience import MOST_LATE

APP_NAME = "rewards"
"""The Serve application's usual name; in-cluster clients look for it."""

_AUTOSCALING = {
    "min_replicas": 1,
    "max_replicas": DEFAULT_MAX_REPLICAS,
    "target_ongoing_requests": 1,
    # A rollout's burst lasts seconds: Serve's own delays (30 s up, 10 min down) would sleep through it. Two looks must
    # agree, half a second apart: a queue that is gone by the second one needs no replica that takes seconds to start.
    "upscale_delay_s": 0.5,
    "look_back_period_s": 2.0,
    "metrics_interval_s": 0.5,
    "downscale_delay_s": 60.0,
}

_REPLICA_CPUS = 0.25
"""Of a reward's replica where it does not say: several rewards and a training then fit a laptop."""

_HEALTH = {
    # A replica that hangs keeps the samples that it has until Serve replaces it, after three misses in a row: with
    # Serve's own 10 and 30 s they waited 118 s, close to the 150 s after which OpenRLHF is told a stand-in; with these
    # 58 s. Serve asks on a loop of its own, so that a busy reward misses none.
    "health_check_period_s": 5.0,
    "health_check_timeout_s": 10.0,
}

_QUIET = LoggingConfig(enable_access_log=False)
"""Serve writes a line a request by default, and Ray repeats it in every training job's log."""


def build(args: Mapping[str, Any] | None = None) -> Application:
    """The application that ``serve run rayreward.serve:build`` and YAML files point at.

    Args:
        args: a `ServiceConfig`'s keys, or ``config_file``: the path of a YAML file that holds them.

    Raises:
        ConfigError: names what is wrong and how to mend it; nothing was started.
    """
    args = dict(args or {})
    path = args.pop("config_file", None)
    if path is not None:
        if args:
            raise ConfigError(f"application args: config_file takes no further keys, found {', '.join(sorted(args))}")
        return build_app(read_service_config(Path(path)))
    try:
        args = with_environment(args, os.environ, source="application args")
    except ConfigError as error:
        raise ConfigError(
            f"{error}. `serve run` and `serve deploy` read a YAML application on the cluster: write the value in, or "
            f"take `rayreward serve FILE`, which reads the environment where it is typed"
        ) from None
    config = ServiceConfig.parse(args, source="application args")
    config.check_loadable("application args")
    return build_app(config)


def build_app(config: ServiceConfig, *, blobs: Mapping[str, bytes] | None = None) -> Application:
    """The application of a validated configuration; `blobs` are pickled rewards by name, for those without address."""
    config = config.model_copy(update={"rewards": [spec.with_absolute_paths() for spec in config.rewards]})
    blobs = blobs or {}
    handles: dict[str, Application] = {}
    for spec in config.rewards:
        if spec.in_router:
            continue
        # Without its candidate: that one changes more often, and is no reason to replace the replicas of this one.
        alone = spec.model_copy(update={"candidate": None})
        handles[spec.name] = _reward_deployment(alone, spec.name).bind(alone, blobs.get(spec.name))
        candidate = spec.candidate_spec
        if candidate is not None:
            handles[spec.candidate_name] = _reward_deployment(candidate, spec.candidate_name).bind(candidate)
    router = serve.deployment(RewardService).options(
        name="router",
        num_replicas=1,
        max_ongoing_requests=100_000,  # the router holds connections; it bounds work itself
        ray_actor_options={"num_cpus": 0},
        logging_config=_QUIET,
        **_HEALTH,
    )
    return router.bind(config.with_token(), handles)


def _reward_deployment(spec: RewardSpec, name: str) -> Any:
    kind = ScaledReplica if spec.is_scaled else RewardReplica
    options: dict[str, Any] = {
        "name": name,
        # The router keeps to the spec. Serve counts a call for a moment after it was answered, and would send the next
        # one elsewhere; and slow samples are waited for beside the others.
        "max_ongoing_requests": 2 * spec.max_ongoing_requests + MOST_LATE,
        "request_router_config": aimed_config(name),
        "ray_actor_options": {"num_cpus": _REPLICA_CPUS, **spec.ray_actor_options},
        "logging_config": _QUIET,
        **_HEALTH,
    }
    if spec.num_replicas is not None:
        options["num_replicas"] = spec.num_replicas
    else:
        options["autoscaling_config"] = by_queued_work(
            {**_AUTOSCALING, **spec.autoscaling_config},
            batch_samples=spec.max_batch_samples or USUAL_SAMPLES,
            batch_bytes=spec.max_batch_bytes,
            batch_tokens=spec.max_batch_tokens,
        )
    try:
        return serve.deployment(kind).options(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"reward {name!r}: Ray Serve refuses its options: {error}") from error
