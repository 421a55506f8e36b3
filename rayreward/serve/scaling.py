"""Serve's controller asks how many replicas a reward should have; `rayreward.router.scaling` answers.

What arrives: a look at a deployment, some a second. What leaves: a number; in the controller's log, a line for each
change with the reason. It never raises: where something is not as expected the number stays, and the log says why.

The policy travels by value, with the modules that it is made of: a cluster whose rewards bring rayreward along in
their runtime_env does not have it in its controller. So nothing of rayreward is imported here but those two modules.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from rayreward.router import backlog, scaling
from rayreward.router.backlog import ReplicaNumbers
from rayreward.router.scaling import Capacity, Decision, Demand, Scaler

_log = logging.getLogger("ray.serve")


class QueuedWorkPolicy:
    """Scales one deployment by what waits in the router and in front of its replicas.

    Args:
        downscale_delay_s: how long a number of replicas is kept after it was needed last.
        batch_samples: that a call carries.
        batch_bytes: that a call carries.
        batch_tokens: that a call carries, where they are counted.
    """

    def __init__(
        self, *, downscale_delay_s: float, batch_samples: int, batch_bytes: int, batch_tokens: int | None = None
    ) -> None:
        self._delay_s = downscale_delay_s
        self._batch = (batch_samples, batch_bytes, batch_tokens)
        self._scaler: Scaler | None = None
        self._said: Decision | None = None

    def __call__(self, ctx: Any) -> tuple[int, dict[str, Any]]:
        """The number for what Serve's ``AutoscalingContext`` shows."""
        try:
            decision = self._decide(ctx)
        except Exception as error:  # noqa: BLE001 - the boundary: an error here would stop Serve's control loop
            decision = Decision(ctx.target_num_replicas, f"kept, for the policy failed with {error!r}")
        if self._said is None or decision.replicas != self._said.replicas:
            _log.info("reward %r of application %r: scaled to %s", ctx.deployment_name, ctx.app_name, decision)
            self._said = decision
        return decision.replicas, {}

    def _decide(self, ctx: Any) -> Decision:
        if self._scaler is None:
            capacity = Capacity(*self._batch, calls=ctx.config.get_target_ongoing_requests())
            self._scaler = Scaler(capacity, downscale_delay_s=self._delay_s)
        demand = Demand.of(published(ctx.raw_metrics or {}), calls=ctx.total_num_requests)
        return self._scaler.decide(
            demand,
            current=ctx.target_num_replicas,
            least=ctx.capacity_adjusted_min_replicas,
            most=ctx.capacity_adjusted_max_replicas,
            now_s=ctx.current_time,
        )


def published(metrics: Mapping[str, Mapping[Any, Any]]) -> list[ReplicaNumbers]:
    """Each replica's latest numbers, from Serve's time series by name and replica."""
    latest: dict[Any, dict[str, float]] = {}
    for name, series_by_replica in metrics.items():
        for replica, series in series_by_replica.items():
            if series:
                latest.setdefault(replica, {})[name] = series[-1].value
    return [ReplicaNumbers.read(numbers) for numbers in latest.values()]


def by_queued_work(
    autoscaling: Mapping[str, Any], *, batch_samples: int, batch_bytes: int, batch_tokens: int | None
) -> dict[str, Any]:
    """Serve's autoscaling configuration with this policy in it; one that has a policy already stays as it is."""
    if autoscaling.get("policy") is not None:
        return dict(autoscaling)
    delay_s = float(autoscaling["downscale_delay_s"])
    config = {**autoscaling, "downscale_delay_s": 0.0}  # else Serve waits as long once more
    if (to_zero_s := autoscaling.get("downscale_to_zero_delay_s")) is not None:
        config["downscale_to_zero_delay_s"] = max(0.0, to_zero_s - delay_s)
    arguments = {
        "downscale_delay_s": delay_s,
        "batch_samples": batch_samples,
        "batch_bytes": batch_bytes,
        "batch_tokens": batch_tokens,
    }
    return {**config, "policy": _by_value(arguments)}


def _by_value(arguments: dict[str, Any]) -> Any:
    """The policy as Serve keeps it: pickled, with the code of what it is made of."""
    from ray import cloudpickle
    from ray.serve.config import AutoscalingPolicy

    for module in (scaling, backlog):
        cloudpickle.register_pickle_by_value(module)
    try:
        return AutoscalingPolicy(policy_function=f"{__name__}:QueuedWorkPolicy", policy_kwargs=arguments)
    finally:
        for module in (scaling, backlog):
            cloudpickle.unregister_pickle_by_value(module)
