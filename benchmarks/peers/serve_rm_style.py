"""A peer: a reward model served as OpenRLHF's own example does it: an async handler that computes in place.

The model is played by a pause that blocks the event loop, 20 ms a call and 0.2 ms a sample, so that requests of one
sample are scored one after the other. ``python … PORT``.
"""

from __future__ import annotations

import sys
import time

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

CALL_S, SAMPLE_S = 0.020, 0.0002

app = FastAPI()


def forward(queries: list[str]) -> list[float]:
    time.sleep(CALL_S + SAMPLE_S * len(queries))
    return [float(len(query)) for query in queries]


@app.post("/get_reward")
async def get_reward(request: Request) -> JSONResponse:
    data = await request.json()
    rewards = forward(data["query"])
    return JSONResponse({"rewards": rewards, "scores": rewards, "extra_logs": {}})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", backlog=4096)
