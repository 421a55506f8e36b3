"""The reward that `serve_rm_style` plays, as rayreward's users write it: 20 ms a call and 0.2 ms a sample."""

from __future__ import annotations

import time

from rayreward import reward_function


@reward_function(mode="batch", isolation="thread")
def model_like(responses: list[str]) -> list[float]:
    time.sleep(0.020 + 0.0002 * len(responses))
    return [float(len(response)) for response in responses]
