"""Plain values as bytes (interface only so far)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Opaque:
    """An object that has no plain form; all that is known of it is the name of its class."""

    type_name: str
