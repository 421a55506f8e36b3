"""What a cluster's dashboard tells: its nodes and what is free on them, its Ray, its Serve applications.

What arrives: the dashboard's URL. What leaves: plain values, None for what the dashboard does not say. Nothing is
started, and Ray is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from rayreward.jobs.preflight.findings import Finding

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})

_UNREADABLE = (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError)
"""A dashboard that is not there, or of a Ray that answers in another shape."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster.

    Attributes:
        total: its resources by name.
        free: those that nobody holds; the same as `total` where the dashboard does not say.
    """

    node_id: str
    ip: str
    total: Mapping[str, float]
    free: Mapping[str, float]


class Dashboard:
    """Asks one cluster's dashboard.

    Args:
        url: as in ``http://127.0.0.1:8265``.
        http: carries the questions.
    """

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url, self._http, self._headers = url.rstrip("/"), http, read_ray_token()

    def read_nodes(self) -> list[Node] | None:
        """The nodes that are alive."""
        try:
            listed = self._get("/api/v0/nodes?detail=true")["data"]["result"]["result"]
            used = self._read_usage()
            return [_node(entry, used.get(entry["node_id"], {})) for entry in listed if entry["state"] == "ALIVE"]
        except _UNREADABLE:
            return None

    def read_ray_version(self) -> str | None:
        """The Ray that the cluster runs."""
        try:
            return str(self._get("/api/version")["ray_version"])
        except _UNREADABLE:
            return None

    def read_serve(self) -> dict[str, Any] | None:
        """Applications and proxies, as Serve's REST interface describes them."""
        try:
            return dict(self._get("/api/serve/applications/"))
        except _UNREADABLE:
            return None

    def _read_usage(self) -> dict[str, Mapping[str, Any]]:
        """Used and total by node; for some seconds after its start a cluster reports none, and none is used."""
        try:
            report = self._get("/api/cluster_status")["data"]["clusterStatus"]["loadMetricsReport"]
            return dict(report["usageByNode"] or {})
        except _UNREADABLE:
            return {}

    def _get(self, path: str) -> Any:
        return self._http.get(self.url + path, headers=self._headers).raise_for_status().json()


def _node(entry: Mapping[str, Any], usage: Mapping[str, Any]) -> Node:
    total = {name: float(amount) for name, amount in entry["resources_total"].items()}
    # The dashboard rewrites the names of custom resources there (my_disk: myDisk), so that these count as free.
    used = {name: float(pair[0]) for name, pair in usage.items() if name in total}
    free = {name: amount - used.get(name, 0.0) for name, amount in total.items()}
    return Node(str(entry["node_id"]), str(entry["node_ip"]), total, free)


def read_ray_token() -> dict[str, str]:
    """The header that a cluster with Ray's token authentication wants; from where Ray itself reads the token."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return {}
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if token is None and path.is_file():
        token = path.read_text(encoding="utf-8").strip()
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def rollout_nodes(nodes: Sequence[Node]) -> list[Node]:
    """Where samples are generated and rewards asked for: the nodes with GPUs, or all where none has any."""
    return [node for node in nodes if node.total.get("GPU", 0.0) >= 1] or list(nodes)


def check_loopback(urls: Sequence[str], nodes: Sequence[Node], serve: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Whether a URL that means "this machine" leads to the reward on every node that asks for rewards."""
    if len(nodes) < 2:
        return
    proxies = ((serve or {}).get("proxies") or {}).items()
    served = {node_id for node_id, proxy in proxies if proxy.get("status") == "HEALTHY"}
    lost = [node.ip for node in rollout_nodes(nodes) if node.node_id not in served]
    for url in urls:
        if urlsplit(url).hostname in _LOOPBACK and lost:
            found = f"{url} means another machine on each node, and {', '.join(lost[:3])} would ask there in vain"
            yield Finding("reward", found, "name the host in reward.url or --service that all nodes can reach")
