"""Rewards that misbehave by the response's text. Imported in worker processes: nothing heavy here."""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rayreward import RewardFunction, RewardOutput, Sample


class OnlyHere:
    """A value of a class that other processes cannot import."""

    def __reduce__(self) -> Any:
        return __import__, ("module_that_only_the_worker_has",)


_filled: list[bytes] = []


def misbehave(response: str) -> Any:
    match response:
        case "hang":
            threading.Event().wait()
        case "spin":
            while True:
                pass
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit("usage")
        case "segfault":
            ctypes.string_at(0)
        case "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang up":
            os.closerange(3, 100)
        case "raise":
            raise ValueError("as asked")
        case "nan":
            return math.nan
        case "explode":
            return float(len(bytearray(2**34)))
        case "leak":
            while True:
                _filled.append(bytes(2**20))
        case "print":
            print("noise on standard output")  # noqa: T201
        case "unpicklable":
            return {"score": 0.5, "lock": threading.Lock()}
        case "foreign":
            return {"score": 0.5, "value": OnlyHere()}
        case "pid":
            return {"score": 1.0, "pid": os.getpid()}
        case "spawn":
            child = subprocess.Popen(["sleep", "600"])
            return {"score": 1.0, "pid": child.pid}
        case "spawn and hang":
            subprocess.run(["sleep", "600"], check=False)
        case "spawn and exit":
            subprocess.Popen(["sleep", "600"])
            os._exit(3)
    return float(len(response))


async def misbehave_async(response: str) -> Any:
    if response == "wait":
        await asyncio.Event().wait()
    await asyncio.sleep(0)
    return misbehave(response)


def misbehave_together(responses: list[str]) -> list[Any]:
    return [misbehave(response) for response in responses]


_opened: list[asyncio.AbstractEventLoop] = []


async def same_loop(response: str) -> float:
    """Whether the loop of the first call is still the one."""
    _opened.append(asyncio.get_running_loop())
    return float(_opened[0] is _opened[-1])


class Careless(RewardFunction):
    """A subclass with an `ascore` of its own, which gives what it is told."""

    def __init__(self, answer: Any, isolation: Any = "process") -> None:
        self.answer, self.isolation = answer, isolation

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return list(self.answer)


class Loads(RewardFunction):
    """Says who has loaded it and who scores, and does more in its load() where it is told to."""

    held: Any = None

    def __init__(self, more: str = "") -> None:
        self.more = more

    def load(self) -> None:
        self.loader = os.getpid()
        match self.more:
            case "thread":
                threading.Thread(target=threading.Event().wait, daemon=True).start()
            case "process":
                self.held = subprocess.Popen(["sleep", "600"])
            case "socket":
                self.held = socket.socketpair()
            case "loop":
                self.held = asyncio.new_event_loop()
            case "file":
                self.held = open(__file__)  # noqa: SIM115 - it stays open
            case "numpy":
                import numpy

                self.held = numpy.ones((500, 500)) @ numpy.ones((500, 500))
            case "seed":
                random.seed(7)

    def compute_reward(self, trajectory: Sample) -> Any:
        misbehave(trajectory.response)
        return {"score": 1.0, "loader": self.loader, "scorer": os.getpid(), "drawn": random.random()}


class BreaksAtLoad(RewardFunction):
    """Cannot be loaded; where `once` names a file that is not there yet, only the first time."""

    def __init__(self, how: str = "raise", once: str | None = None) -> None:
        self.how, self.once = how, once

    def load(self) -> None:
        if self.once is not None:
            try:
                os.close(os.open(self.once, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
        if self.how == "exit":
            os._exit(4)
        if self.how == "sys.exit":
            sys.exit("usage")
        raise ValueError("no weights")

    def compute_reward(self, trajectory: Sample) -> float:
        return 1.0


def misbehave_answering(answer: Any) -> Any:
    """A batch function that always answers the same."""

    def fixed(responses: list[str]) -> Any:
        return answer

    return fixed


async def hold_up_the_loop(response: str) -> float:
    """Async samples, one of which holds up the loop of all of them: "early", "late" and "block"."""
    if response == "early":
        await asyncio.sleep(0.5)
        return 1.0
    if response == "late":
        await asyncio.sleep(0.7)
        return 2.0
    await asyncio.sleep(0.6)
    time.sleep(1.2)  # noqa: ASYNC251 - as it should not be
    return 3.0


def linger(response: str) -> float:
    """Leaves something on the loop of its process that holds up the end of the batch."""
    asyncio.get_running_loop().call_soon(time.sleep, 0.5)
    return 1.0


class EndsItsOwnTask(RewardFunction):
    """Answers the first sample, and cancels the task that it runs in."""

    isolation = "thread"
    answers_each = True

    async def answer_each(self, samples: Sequence[Sample], answer: Callable[[int, RewardOutput], None]) -> None:
        answer(0, RewardOutput(1.0))
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


class AnswersWhenLet(RewardFunction):
    """Answers as many samples as it is let to."""

    isolation = "thread"
    answers_each = True

    def __init__(self) -> None:
        self._let: asyncio.Queue[int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def let(self, count: int) -> None:
        assert self._loop is not None
        assert self._let is not None
        self._loop.call_soon_threadsafe(self._let.put_nowait, count)

    async def answer_each(self, samples: Sequence[Sample], answer: Callable[[int, RewardOutput], None]) -> None:
        self._loop, self._let = asyncio.get_running_loop(), self._let or asyncio.Queue()
        at = 0
        while at < len(samples):
            count = await self._let.get()
            for position in range(at, at + count):
                answer(position, RewardOutput(float(position)))
            at += count
