"""Where the reward service is, as a command line and its environment say."""

from __future__ import annotations

import os

DEFAULT_SERVICE_URL = "http://127.0.0.1:8000"


def service_url_of(given: str | None) -> str:
    """The URL given, else RAYREWARD_URL's, else the one where ``rayreward serve`` listens."""
    return given or os.environ.get("RAYREWARD_URL") or DEFAULT_SERVICE_URL
