"""Rewards whose right score is the number that the response says, and the ways in which they fail."""

import asyncio
import itertools
import time

from rayreward import reward_function

HANGS_AT = 40
"""Every sample whose number is a multiple of it hangs its grader."""

_calls = itertools.count(1)


@reward_function
async def steady(response, **kwargs):
    await asyncio.sleep(0.01)
    return float(response)


@reward_function
def thirds(response, **kwargs):
    if next(_calls) % 3 == 0:
        raise ValueError("every third call fails")
    return float(response)


@reward_function
def hanging(response, **kwargs):
    if int(response) % HANGS_AT == 0:
        time.sleep(3600)
    return float(response)


@reward_function(mode="batch", isolation="inline")
async def narrow(responses, **kwargs):
    """Four samples in a twentieth of a second: 80 a second."""
    await asyncio.sleep(0.05)
    return [float(response) for response in responses]


@reward_function
async def patient(response, **kwargs):
    await asyncio.sleep(1.0)
    return float(response)
