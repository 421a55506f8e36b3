"""Calls that name the replica they are for: the part of routing that Ray Serve leaves to an application.

What arrives: handle calls of a reward's `score`, with a replica's id as the keyword `replica`. What leaves: that
replica, while it runs and has room; else Serve's own choice, as for every call that names none. A call is never held
back for a replica: one that is full or lost is passed over.

It also writes down who runs, for who chooses (`router/least_busy.py`, `router/prompt_queues.py`), as soon as Serve
tells it.

Serve makes routers by a public, "alpha" interface, whose `choose_replicas` would do for this, and does on 2.60. On
2.55 a router that is no first-in-first-out one can spin for ever: a routing task whose request another has served
goes round without a pause while a third waits for a replica's answer. So the choice is made one step earlier, in the
method that Ray's own `CapacityQueueRouter` overrides on both versions.
"""

from __future__ import annotations

from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.config import RequestRouterConfig

from rayreward.serve.running import note_running


def aimed_config(deployment: str) -> RequestRouterConfig:
    """What a deployment is configured with so that its calls can name a replica."""
    return RequestRouterConfig(
        request_router_class=f"{__name__}.{AimedRequestRouter.__name__}",
        request_router_kwargs={"deployment": deployment},
    )


class AimedRequestRouter(PowerOfTwoChoicesRequestRouter):  # type: ignore[misc]
    """Serve's default, but for calls that name a replica."""

    def initialize_state(self, deployment: str) -> None:
        """Of which deployment the replicas are."""
        self._deployment = deployment

    def create_replica_wrapper(self, replica_info: Any) -> RunningReplica:
        """One that Serve has just named."""
        return _PatientlyAsked(replica_info)

    def update_replicas(self, replicas: list[Any]) -> None:
        """Others run from now on."""
        super().update_replicas(replicas)
        self._write_down()

    def on_replica_actor_died(self, replica_id: Any) -> None:
        """One is lost, and Serve has not said so yet."""
        super().on_replica_actor_died(replica_id)
        self._write_down()

    def _write_down(self) -> None:
        note_running(self.app_name, self._deployment, [replica_id.unique_id for replica_id in self.curr_replicas])

    async def _choose_replica_for_request(self, pending_request: Any, *, is_retry: bool = False) -> Any:
        aimed_at = pending_request.kwargs.get("replica")
        if aimed_at is not None and not is_retry:
            named = [one for known, one in self.curr_replicas.items() if known.unique_id == aimed_at]
            if named and self.select_available_replicas(named):
                return named[0]
        return await super()._choose_replica_for_request(pending_request, is_retry=is_retry)


class _PatientlyAsked(RunningReplica):  # type: ignore[misc]
    """A replica whose question for its queue is never taken back.

    Serve cancels the question where no answer comes within a tenth of a second. A replica's process that stands still
    would then outlive its replacement, with its memory and its GPU: the raylet, who hands a cancellation on, cannot
    connect, keeps the failed connection, and where it is told to kill the process a moment later, it takes that
    connection's failure for the process's end (Ray 2.55). A question that nobody waits for costs nothing.
    """

    async def get_queue_len(self, *, deadline_s: float) -> int:
        """How many calls it has; whoever asks waits as long as it likes."""
        count: int = await self._actor_handle.get_num_ongoing_requests.remote()
        return count
