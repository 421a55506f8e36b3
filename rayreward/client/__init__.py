"""Clients: one interface over three ways to reach a reward."""

from __future__ import annotations

from rayreward.client.base import RewardClient
from rayreward.client.connect import connect
from rayreward.client.handle import HandleClient
from rayreward.client.http import HttpClient
from rayreward.client.local import LocalClient

__all__ = ["HandleClient", "HttpClient", "LocalClient", "RewardClient", "connect"]
