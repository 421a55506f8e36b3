"""A floor: the router's listener, OpenRLHF's format and a reward, none of the router's policies. ``python … PORT``.

It admits nobody, counts nothing, knows no siblings, no deadline and no version, and turns no failure into a number.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from rayreward.rewards import LengthReward
from rayreward.router.config import ListenSpec
from rayreward.sample import Sample
from rayreward.serve.asgi import Answer, Request
from rayreward.serve.listener import Listener
from rayreward.trainers.openrlhf import TrainerAnswer, decode_request, encode_answer

MAX_BYTES = 2**20

reward = LengthReward(target=5)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    request = Request(scope, receive)
    if request.method != "POST":  # whoever asks whether it is up
        return await Answer(b"", 404).send(scope, send)
    asked = decode_request(await request.body(MAX_BYTES))
    outputs = await reward.ascore([item for item in asked.items if isinstance(item, Sample)])
    answers = [TrainerAnswer.scored(output, output.score) for output in outputs if output.score is not None]
    return await Answer(encode_answer(answers)).send(scope, send)


async def main() -> None:
    listener = Listener(app, ListenSpec(port=int(sys.argv[1])), identity="bare")
    if not await listener.start():
        raise RuntimeError(f"port {sys.argv[1]} is taken")
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
