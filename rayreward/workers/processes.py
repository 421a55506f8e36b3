"""The processes of one worker: one that has loaded the reward, and one forked from it that scores.

What arrives: a reward, and whoever scored and is to be no more. What leaves: a connection to a process that scores.
Another takes milliseconds where it can be forked; else the reward is loaded again. Whatever goes wrong at a start, no
process is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rayreward.errors import RewardLoadError
from rayreward.forking.frames import encode_frame
from rayreward.forking.server import REPLY
from rayreward.forking.zygote import Zygote, ZygoteLostError, describe_exit, read_pid
from rayreward.workers.frames import read_frame
from rayreward.workers.protocol import Broken, Load, Ready

_log = logging.getLogger(__name__)

_CHILD = "from rayreward.workers.child import main; main()"

_START_LIMIT_S = 120.0
"""How long a reward may take to load (imports, tables, a model) before its process counts as hung."""

_FORK_LIMIT_S = 30.0
"""How long a fork may take; one of a process of many GB takes a tenth of a second."""

_SLOW_NICENESS = 5
"""Of a process that is at a slow sample: others have the core first, a third of it is left where both want it."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """The process that scores, and the connection to it."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_forked: bool

    @property
    def has_ended(self) -> bool:
        """Whether it is no more. By its state: what it forked may hold its connection open."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
        except OSError:
            return True


class RewardProcesses:
    """Starts and ends the processes of one worker.

    Args:
        load: what they are to load.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._zygote = Zygote(_CHILD)
        self._can_fork = False
        self._is_closed = False
        self._ending: set[asyncio.Future[int | None]] = set()
        self._aside: set[Scorer] = set()
        self.scorer: Scorer | None = None

    @property
    def pid(self) -> int | None:
        """The process that scores, or the one that loads the reward for it."""
        return self._zygote.pid if self.scorer is None else self.scorer.pid

    async def start(self) -> Scorer:
        """Have a process that scores.

        Raises:
            RewardLoadError: the reward cannot be loaded; the message is what its code raised.
        """
        self._check_open()
        try:
            scorer = await self._start()
            self._check_open()
        except BaseException as error:
            await self.stop()
            if isinstance(error, ZygoteLostError):
                raise RewardLoadError(f"the process that had loaded the reward ended: {error}") from error
            raise
        return scorer

    async def _start(self) -> Scorer:
        if self._can_fork:
            try:
                self.scorer = await self._fork()
            except ZygoteLostError as error:
                _log.warning("the process that had loaded a reward is lost, and another loads it: %s", error)
                await self.stop()
                self._check_open()
        if self.scorer is None:
            self.scorer = await self._load_anew()
        return self.scorer

    def _check_open(self) -> None:
        if self._is_closed:
            raise RewardLoadError("the reward's worker was closed")

    async def _load_anew(self) -> Scorer:
        try:
            control = self._zygote.spawn()
        except OSError as error:
            raise RewardLoadError(f"no worker process could be started: {error}") from error
        reader, writer = await asyncio.open_connection(sock=control.dup())
        try:
            ready = await self._greet(reader, writer)
        except BaseException:
            writer.close()
            raise
        if ready.why_no_forks is None:
            writer.close()
            self._can_fork = True
            return await self._fork()
        _log.info("a hung or crashed process of this reward is started anew, not forked: %s", ready.why_no_forks)
        pid = self._zygote.pid
        if pid is None:
            raise RewardLoadError("the reward's worker was closed")
        return Scorer(pid, reader, writer, is_forked=False)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Ready:
        try:
            writer.write(encode_frame(self._load))
            greeting = await asyncio.wait_for(read_frame(reader), _START_LIMIT_S)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            ended = describe_exit(await self.stop())
            raise RewardLoadError(f"the worker process ended while it loaded the reward: {ended}") from error
        if isinstance(greeting, Broken):
            raise RewardLoadError(greeting.message)
        if not isinstance(greeting, Ready):
            raise TypeError(f"a worker greeted with {greeting!r}; this is a bug in rayreward")
        return greeting

    async def _fork(self) -> Scorer:
        try:
            reader, writer = await asyncio.open_connection(sock=self._zygote.order())
            try:
                async with asyncio.timeout(_FORK_LIMIT_S):
                    pid = read_pid(await reader.readexactly(REPLY.size))
            except BaseException:
                writer.close()
                raise
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            raise ZygoteLostError(f"no fork came: {error}") from error
        except ZygoteLostError:
            raise
        except OSError as error:
            raise RewardLoadError(f"no worker process could be forked: {error}") from error
        return Scorer(pid, reader, writer, is_forked=True)

    async def end(self) -> int | None:
        """Kill the process that scores with what it started, where there is one, and return its exit code."""
        scorer = self.scorer
        if scorer is None:
            return None
        if not scorer.is_forked:
            return await self.stop()
        self.scorer = None
        scorer.writer.close()
        return await self._ended(self._zygote.end, scorer.pid)

    async def set_aside(self, is_still_slow: Callable[[], bool]) -> bool:
        """Have another process score, and leave the one that does to the sample that it is at; see `end_aside`.

        Args:
            is_still_slow: asked when the other process is there.

        Returns:
            False where there is no other one; all is then as it was.
        """
        slow, zygote = self.scorer, self._zygote
        if slow is None or not slow.is_forked or not self._can_fork:
            return False
        forking = asyncio.get_running_loop().create_task(self._fork())
        try:
            fresh = await asyncio.shield(forking)
        except asyncio.CancelledError:
            forking.add_done_callback(partial(_discard_fork, zygote))
            raise
        except (ZygoteLostError, RewardLoadError) as error:
            _log.warning("a slow sample holds up others, for no other process can be forked: %s", error)
            return False
        if self.scorer is not slow or not is_still_slow():
            _discard(zygote, fresh)
            return False
        self.scorer = fresh
        self._aside.add(slow)
        with contextlib.suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, slow.pid) + _SLOW_NICENESS
            os.setpriority(os.PRIO_PROCESS, slow.pid, niceness)
        return True

    async def end_aside(self, scorer: Scorer) -> int | None:
        """Kill a process that was set aside; its exit code, where one can still be learnt."""
        if scorer not in self._aside:
            return None  # all were stopped: its number may be another's by now
        self._aside.discard(scorer)
        scorer.writer.close()
        return await self._ended(self._zygote.end, scorer.pid)

    def discard_aside(self, scorer: Scorer) -> None:
        """The same, without waiting for it; nothing where it was ended already."""
        if scorer in self._aside:
            self._aside.discard(scorer)
            _discard(self._zygote, scorer)

    async def stop(self) -> int | None:
        """Kill every process; the exit code of the one that had loaded the reward."""
        scorer, self.scorer = self.scorer, None
        self._can_fork = False
        for one in (*self._aside, *([] if scorer is None else [scorer])):
            one.writer.close()
        self._aside.clear()
        zygote, self._zygote = self._zygote, Zygote(_CHILD)
        return None if zygote.pid is None else await self._ended(zygote.close)

    async def close(self) -> None:
        """Stop for good: nothing starts again."""
        self._is_closed = True
        await self.stop()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _ended(self, end: Callable[..., int | None], *given: int) -> int | None:
        """What ends processes, in a thread, and also where this task is cancelled: else they would be forgotten."""
        ending = asyncio.get_running_loop().run_in_executor(None, end, *given)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return await asyncio.shield(ending)


def _discard_fork(zygote: Zygote, forking: asyncio.Task[Scorer]) -> None:
    if not forking.cancelled() and forking.exception() is None:
        _discard(zygote, forking.result())


def _discard(zygote: Zygote, scorer: Scorer) -> None:
    """Kill a process without waiting for it; where its zygote was closed, it is gone already."""
    scorer.writer.close()
    if zygote.pid is not None:
        zygote.discard(scorer.pid)
