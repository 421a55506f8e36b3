"""Finds the way to a served reward from what its caller knows of it."""

from __future__ import annotations

import os

from rayreward.client.base import RewardClient
from rayreward.client.http import HttpClient
from rayreward.errors import ConfigError


def connect(
    name: str | None = None, *, endpoint: str | None = None, token: str | None = None
) -> tuple[RewardClient, str]:
    """A client, and the name of the reward behind it ("" for the main one).

    An endpoint is the reward's own URL (``…/v1/rewards/<name>``, ``…/<name>``, ``…/get_reward``) where no name is
    given, and a service's root where one is. Without an endpoint: the environment's RAYREWARD_URL, else
    ``http://127.0.0.1:8000``, where ``serve run`` and ``rayreward serve`` listen.

    Raises:
        ConfigError: neither a name nor an endpoint.
    """
    if endpoint is not None:
        url = endpoint.strip().strip("<>").rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"endpoint must be an http:// or https:// URL, found {endpoint!r}")
        if name is not None:
            return HttpClient(url, token=token), name
        # The native door lies beside OpenRLHF's: /x/get_reward is the reward x.
        return HttpClient(url.removesuffix("/get_reward"), token=token, is_endpoint=True), ""
    if name is None:
        raise ConfigError("a remote reward needs name=… (at RAYREWARD_URL) or endpoint='http://…'")
    return HttpClient(os.environ.get("RAYREWARD_URL", "http://127.0.0.1:8000"), token=token), name
