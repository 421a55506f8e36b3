"""The worker process: loads one reward and scores what it is sent, until its replica hangs up or kills it.

What arrives on the socket: `Load`, then `Work` after `Work`. What leaves: `Ready` or `Broken`, then for each batch
one `Scored` a sample as soon as it is known, and `Done`. One event loop lives as long as the process, so that what an
async reward opens in one batch still works in the next. When the replica dies, however suddenly, this process and all
that its reward started die too, whatever they are doing.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Mapping

import cloudpickle

from rayreward.boundary import score_guarded
from rayreward.forking.frames import encode_frame, receive
from rayreward.function import RewardFunction
from rayreward.outcome import failed_output
from rayreward.plain import plain
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.protocol import Broken, Done, Load, Ready, Scored, Work

Answer = Callable[[int, RewardOutput], None]


def main() -> None:
    """Serve one replica, over the socket whose number is the last argument, until it hangs up."""
    connection = socket.socket(fileno=int(sys.argv[-1]))
    connection.set_inheritable(False)
    _start_guard(connection)
    # Ctrl-C reaches the whole process group; the replica decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        reward = _load(receive(connection))
        connection.sendall(encode_frame(Ready(reward.version)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary: user code loads here; its replica hears why
        connection.sendall(encode_frame(Broken(str(failed_output(error).failure))))
        return

    def answer(position: int, output: RewardOutput) -> None:
        connection.sendall(encode_frame(Scored(position, _pickled(output))))

    with asyncio.Runner() as runner:
        while True:
            try:
                work: Work = receive(connection)
            except (EOFError, ConnectionError):
                return
            runner.run(_answer(reward, work, answer))
            connection.sendall(encode_frame(Done()))


def _load(sent: Load) -> RewardFunction:
    sys.path[:] = [*sent.path, *(folder for folder in sys.path if folder not in sent.path)]
    reward: RewardFunction = cloudpickle.loads(sent.blob)
    reward.load()
    return reward


def _start_guard(connection: socket.socket) -> None:
    """A process that waits for the replica's end and then kills this whole group: a hung reward notices nothing.

    Standard input is a pipe whose other end only the replica holds. The guard is nobody's child here, so that an
    author's ``os.wait()`` does not find it.
    """
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            connection.close()  # it must end with this process
            os.closerange(1, 3)
            os.read(0, 1)
            os.killpg(0, signal.SIGKILL)
        os._exit(0)
    os.waitpid(between, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


async def _answer(reward: RewardFunction, work: Work, answer: Answer) -> None:
    """Send every output as soon as it is known, so that a later hang cannot take it away."""
    samples = _unpickled(work, answer)
    if not reward.scores_one_by_one:
        outputs = await score_guarded(reward.ascore, list(samples.values()))
        for position, output in zip(samples, outputs, strict=True):
            answer(position, output)
        return

    async def one(position: int, sample: Sample) -> None:
        [output] = await score_guarded(reward.ascore, [sample])
        answer(position, output)

    if reward.is_async:
        await asyncio.gather(*(one(position, sample) for position, sample in samples.items()))
    else:
        for position, sample in samples.items():
            await one(position, sample)


def _unpickled(work: Work, answer: Answer) -> Mapping[int, Sample]:
    """The samples that can be read here, by position; the others are answered."""
    samples: dict[int, Sample] = {}
    for position, blob in enumerate(work.samples):
        try:
            samples[position] = pickle.loads(blob)
        except Exception as error:  # noqa: BLE001 - the boundary: a label's own class may do anything
            message = f"the sample cannot be read in the reward's process ({error}); send plain values"
            answer(position, RewardOutput.failed(FailureKind.INVALID_INPUT, message))
    return samples


def _pickled(output: RewardOutput) -> bytes:
    try:
        return pickle.dumps(output, protocol=5)
    except Exception:  # noqa: BLE001 - the boundary: metadata holds what a reward put there; the score is worth keeping
        fields = {name: getattr(output, name) for name in RewardOutput.__slots__}
        return pickle.dumps(RewardOutput(**{**fields, "metadata": plain(output.metadata)}), protocol=5)
