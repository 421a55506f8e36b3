"""The processes of a `ForkPool`: one that imports what is needed, and those forked from it, which call the function.

What arrives: `Prepare`, then pickled arguments, one a call. What leaves: `Prepared`, or the text of why not; then for
each call `Returned` or `Raised`.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rayreward.forking.frames import encode_frame, receive, receive_pickle
from rayreward.forking.server import begin, give_room, limit_memory, serve


@dataclass(frozen=True, slots=True)
class Prepare:
    """What the calls need.

    Attributes:
        function: ``package.module:name``.
        preload: modules that are imported first.
        path: where modules are looked for.
        memory_bytes: what a worker may take beyond what it is forked with; None for no limit.
    """

    function: str
    preload: tuple[str, ...]
    path: tuple[str, ...]
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Workers can be forked."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call gave."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """What a call ended with instead."""

    message: str
    is_out_of_memory: bool


def main() -> None:
    """Serve one pool, over the socket whose number is the last argument, until it hangs up."""
    control = begin()
    told: Prepare = receive(control)
    try:
        function = _import(told)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary: what is imported may do anything
        control.sendall(encode_frame(f"{type(error).__name__}: {error}"))
        return

    def work(connection: socket.socket) -> None:
        if told.memory_bytes is not None:
            limit_memory(told.memory_bytes)
        _work(connection, function)

    control.sendall(encode_frame(Prepared()))
    serve(control, work)


def _import(told: Prepare) -> Callable[[Any], Any]:
    sys.path[:] = [*told.path, *(folder for folder in sys.path if folder not in told.path)]
    for module in told.preload:
        importlib.import_module(module)
    module, _, name = told.function.partition(":")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return function


def _work(connection: socket.socket, function: Callable[[Any], Any]) -> None:
    with contextlib.suppress(EOFError, ConnectionError):  # the pool has no more for this worker
        while True:
            connection.sendall(_answer(function, receive_pickle(connection)))


def _answer(function: Callable[[Any], Any], argument: bytes) -> bytes:
    try:
        return encode_frame(Returned(function(pickle.loads(argument))))
    except MemoryError as error:
        give_room()
        raised = Raised(str(error) or "it asked for more memory than it may have", is_out_of_memory=True)
    except BaseException as error:  # noqa: BLE001 - the boundary: sys.exit() in a library must not end the worker
        raised = Raised(f"{type(error).__name__}: {error}"[:2000], is_out_of_memory=False)
    return encode_frame(raised)
