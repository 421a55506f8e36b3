"""The worker process: loads one reward and scores what it is sent, until its replica hangs up or kills it.

What arrives on the socket: the pickled reward, then batches of samples. What leaves: `Ready` or `Broken`, then for
each batch one `Scored` a sample as soon as it is known, and `Done`.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import sys
from collections.abc import Sequence

import cloudpickle

from rayreward.function import RewardFunction
from rayreward.outcome import failed_output
from rayreward.types import Sample
from rayreward.workers.frames import encode_frame, receive
from rayreward.workers.protocol import Broken, Done, Ready, Scored

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def main() -> None:
    """Serve one replica, over the socket whose number is the last argument, until it hangs up."""
    connection = socket.socket(fileno=int(sys.argv[-1]))
    _die_with_parent()
    # Ctrl-C reaches the whole process group; the replica decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        reward: RewardFunction = cloudpickle.loads(receive(connection))
        reward.load()
        connection.sendall(encode_frame(Ready(reward.version)))
    except Exception as error:  # noqa: BLE001 - the boundary: user code loads here, and its replica must hear why
        connection.sendall(encode_frame(Broken(str(failed_output(error).failure))))
        return
    while True:
        try:
            samples = receive(connection)
        except EOFError:
            return
        asyncio.run(_answer(reward, samples, connection))
        connection.sendall(encode_frame(Done()))


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its replica dies, for a hung reward would not notice the hang-up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _answer(reward: RewardFunction, samples: Sequence[Sample], connection: socket.socket) -> None:
    """Send every output as soon as it is known, so that a later hang cannot take it away."""
    if not reward.scores_one_by_one:
        for position, output in enumerate(await reward.ascore(samples)):
            connection.sendall(encode_frame(Scored(position, output)))
        return

    async def one(position: int) -> None:
        [output] = await reward.ascore([samples[position]])
        connection.sendall(encode_frame(Scored(position, output)))

    if reward.is_async:
        await asyncio.gather(*(one(position) for position in range(len(samples))))
    else:
        for position in range(len(samples)):
            await one(position)
