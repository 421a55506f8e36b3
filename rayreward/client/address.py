"""Where a training's reward is, as plain values that a trainer's configuration or environment can hold.

What arrives: a name, a URL or an application, a run. What leaves: a `RunClient`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Self

import httpx

from rayreward.client.base import RewardClient
from rayreward.client.connect import connect
from rayreward.client.handle import HandleClient
from rayreward.client.http import HttpClient
from rayreward.client.run import RunClient
from rayreward.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardAddress:
    """A reward and who asks for it.

    Attributes:
        reward: its name; the service's main reward where left out.
        endpoint: the service's URL, or the reward's own; or else
        app: the Serve application of this Ray cluster; "auto" finds the one that can be meant.
        run: the training that asks.
        wait_s: how long samples wait for a reward that nobody answers for; the training pauses meanwhile.
        max_unavailable_s: after so long without any answer the training is stopped; None never stops it.

    Raises:
        ConfigError: endpoint and app are both given.
    """

    reward: str | None = None
    endpoint: str | None = None
    app: str | None = None
    run: str | None = None
    wait_s: float = 600.0
    max_unavailable_s: float | None = 900.0

    def __post_init__(self) -> None:
        if self.endpoint is not None and self.app is not None:
            raise ConfigError("a reward has an endpoint (HTTP) or an app (this Ray cluster), found both: leave one out")

    def or_environment(self) -> Self:
        """The same; what is left out comes from RAYREWARD_URL or RAYREWARD_APP, RAYREWARD_REWARD and RAYREWARD_RUN."""
        known = os.environ.get
        app, endpoint = self.app, self.endpoint
        if app is None and endpoint is None:
            endpoint = known("RAYREWARD_URL")
            app = known("RAYREWARD_APP") if endpoint is None else None
        reward, run = self.reward or known("RAYREWARD_REWARD"), self.run or known("RAYREWARD_RUN")
        return replace(self, reward=reward, endpoint=endpoint, app=app, run=run)

    def connect(self) -> RunClient:
        """A client of the reward; without endpoint and app, of the service that listens on this machine.

        Raises:
            ConfigError: the endpoint is no URL.
            ServiceUnavailableError: no such application runs in this Ray cluster.
        """
        carrier, reward = self._carrier()
        return RunClient(
            carrier,
            reward=reward or None,
            run=self.run,
            wait_s=self.wait_s,
            max_unavailable_s=self.max_unavailable_s,
        )

    def _carrier(self) -> tuple[RewardClient, str | None]:
        if self.app is not None:
            return HandleClient(self.app), self.reward
        if self.endpoint is None:
            return HttpClient(), self.reward
        if self.reward is None and httpx.URL(self.endpoint).path == "/":
            return HttpClient(self.endpoint), None  # a service's root: its main reward
        return connect(self.reward, endpoint=self.endpoint)
