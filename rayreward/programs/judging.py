"""The judge's process: runs test code step by step, and asks for what the program answers.

What arrives: on the first socket, sockets, one a sample; on each of these, `Assertions` as plain values, then answers.
What leaves: the process's number, requests, and for each step what became of it. Every sample is judged by a process of
its own, forked from one that has run no test; all of them die with the process that asks.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import random
import reprlib
import resource
import signal
import socket
import sys
import traceback
from typing import Any

from rayreward.programs import channel
from rayreward.programs.proxies import IN_PLACE, NoPlainValueError, ProgramEndedError, Remote, call_in_place, expect

_MAX_MESSAGE_CHARS = 300

_WARM_UP_COUNT = 20
"""Python 3.11 rewrites code as it runs, for the eighth time or so the last; a fork that does it copies its pages."""


def main(memory_bytes: int) -> None:
    """Fork a judge for every socket that arrives on standard input, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who asked decides when we end
    signal.signal(signal.SIGCHLD, _bury)  # not SIG_IGN: then nobody could tell what CPU time they took
    requests = socket.socket(fileno=os.dup(0))
    _warm_up()
    gc.freeze()  # what is here already stays; a collection in every fork would copy it
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    while True:
        message, numbers, _, _ = socket.recv_fds(requests, 1, 1)
        if not message:
            os.killpg(0, signal.SIGKILL)  # judges that hang would not notice
        for number in numbers:
            if os.fork() == 0:
                requests.close()
                _become_judge(number, memory_bytes)
            os.close(number)


def _warm_up() -> None:
    """Do what every fork will do, so that the interpreter's pages are written to here and shared there."""
    code = marshal.dumps(compile("assert f([1], x=(2,)) == {'a': 1}", "<tests>", "exec"))
    for _ in range(_WARM_UP_COUNT):
        one, other = socket.socketpair()
        with one, other:
            channel.send(one, ([code], ("f",), (), ()))
            channel.send(one, ("value", {"a": 1}))
            judge(other)


def _bury(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_judge(number: int, memory_bytes: int) -> None:
    """Judge one sample and end."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with socket.socket(fileno=number) as connection:
            channel.send(connection, os.getpid())
            judge(connection)
    finally:
        os._exit(0)


def judge(connection: socket.socket) -> None:
    """Run the steps that arrive, and say what became of each."""
    steps, names, aliases, exceptions = channel.receive(connection)
    last: list[str] = []

    def ask(what: str, target: Any, name: str, args: Any, kwargs: Any) -> tuple[str, Any]:
        channel.send(connection, ("ask", what, target, name, args, kwargs))
        kind, answer = channel.receive(connection)
        if kind == "ended":
            raise ProgramEndedError
        with contextlib.suppress(Exception):
            last[:] = [_SHORT.repr(answer)]
        return kind, answer

    space: dict[str, Any] = {"__name__": "tests", **{name: Remote(ask, None, name) for name in names}}
    space.update({alias: space[name] for alias, name in aliases})
    space.update({**expect(exceptions), IN_PLACE: call_in_place})
    random.seed(0)  # tests that draw their cases draw the same ones for every program
    for code in steps:
        last.clear()
        outcome = _run(code, space)
        channel.send(connection, ("step", *outcome, last[0] if last else ""))
    channel.send(connection, ("done",))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def _run(code: bytes, space: dict[str, Any]) -> tuple[str, str]:
    """What became of a step, and its message: passed, failed, raised, unsupported."""
    try:
        exec(marshal.loads(code), space)  # tests are code: that is what this process is for
    except AssertionError as error:
        return "failed", _text(error)
    except ProgramEndedError:
        return "ended", ""
    except NoPlainValueError as error:
        return "unsupported", _text(error)
    except channel.ChannelClosedError:
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the boundary: tests raise what they like, SystemExit too
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<tests>"]
        where = f" (line {lines[-1]})" if lines else ""
        return "raised", f"{type(error).__name__}: {_text(error)}{where}"
    return "passed", ""


def _text(error: BaseException) -> str:
    with contextlib.suppress(Exception):
        return str(error)[:_MAX_MESSAGE_CHARS]
    return ""


if __name__ == "__main__":
    main(int(sys.argv[1]))
