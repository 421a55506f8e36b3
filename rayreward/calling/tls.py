"""The certificates by which https servers are known, read once a process: they cost 20 ms of CPU a time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def verification(base_url: str) -> ssl.SSLContext | bool:
    """What httpx takes as `verify` for this server; nothing is read for one without TLS.

    Example:
        >>> verification("http://127.0.0.1:8000/v1")
        False
    """
    return _read_certificates() if base_url.lower().startswith("https:") else False


@functools.cache
def _read_certificates() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
