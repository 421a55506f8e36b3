"""Rewards that misbehave on request: the response says how."""

import asyncio
import os
import time

from rayreward import reward_function


@reward_function
def echo(response, label=None, **kwargs):
    match response:
        case "raise":
            raise ValueError("as asked")
        case "nan":
            return float("nan")
        case "text":
            return "0.5"
        case "hang":
            time.sleep(3600)
        case "die":
            os._exit(3)
    return float(response)


@reward_function(mode="batch")
def batched(responses, **kwargs):
    if "raise" in responses:
        raise ValueError("as asked")
    if "few" in responses:
        return [0.0] * (len(responses) - 1)
    return [float(response) for response in responses]


@reward_function
async def slow(response, **kwargs):
    await asyncio.sleep(0.2)
    return float(response)


@reward_function(mode="batch")
async def patient(responses, **kwargs):
    """A call that takes long: none of its samples is known before the others."""
    await asyncio.sleep(max(map(float, responses)))
    return [float(response) for response in responses]


@reward_function
def scaled(response, factor=1.0):
    return float(response) * factor


@reward_function
def process(response):
    return float(os.getpid())
