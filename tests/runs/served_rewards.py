"""What the runs are scored by: the share of digits, with failures that depend on the response alone."""

from __future__ import annotations

import time
import zlib
from typing import Any

from rayreward import reward_function

DEADLINE_S = 1.0


def digits(response: str) -> float:
    return sum(letter.isdigit() for letter in response) / max(len(response), 1)


@reward_function
def steady(response: str, **kwargs: Any) -> tuple[float, dict[str, float]]:
    """Never fails."""
    return digits(response), {"digits": digits(response), "length": float(len(response))}


@reward_function
def flaky(response: str, **kwargs: Any) -> tuple[float, dict[str, float]]:
    """One response in ten raises, hangs past its deadline, or gets NaN."""
    fate = zlib.crc32(response.encode()) % 30
    if fate == 0:
        raise ValueError("this response cannot be scored")
    if fate == 1:
        time.sleep(60 * DEADLINE_S)
    if fate == 2:
        return float("nan"), {}
    return digits(response), {"digits": digits(response), "length": float(len(response))}
