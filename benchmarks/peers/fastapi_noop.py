"""A peer: FastAPI that answers OpenRLHF's request with a constant, and does nothing else. ``python … PORT``."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()


@app.post("/get_reward")
async def get_reward(request: Request) -> JSONResponse:
    data = await request.json()
    rewards = [1.0 for _ in data["query"]]
    return JSONResponse({"rewards": rewards, "scores": rewards, "extra_logs": {}})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", backlog=4096)
