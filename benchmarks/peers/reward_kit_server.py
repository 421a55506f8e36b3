"""A peer: reward-kit's own server with a trivial reward. ``python … PORT``, by a Python that has reward-kit 0.4.1.

Not part of the project's environment, whose packages reward-kit's pins contradict: `make bench` gives it one.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from reward_kit import EvaluateResult, reward_function
from reward_kit.server import RewardServer


@reward_function  # type: ignore[misc]
def trivial(messages: list[Any], **kwargs: Any) -> EvaluateResult:
    """The response's length."""
    return EvaluateResult(score=float(len(messages[-1].content)), reason="length", metrics={})


if __name__ == "__main__":
    import uvicorn

    logging.disable(logging.WARNING)  # it writes a line a request otherwise
    server = RewardServer(f"{__name__}:trivial")
    uvicorn.run(server.app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", backlog=4096)
