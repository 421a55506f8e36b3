"""Python programs, in the process that was confined for them.

What arrives by the connection: a source, then calls where it is a candidate. What leaves: frames that say what became
of each. The program can change everything here (it is its own process), so nothing here is relied on by anybody: it can
lie about what it returns, and stop.
"""

from __future__ import annotations

import _sitebuiltins
import _thread
import atexit
import builtins
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from rayreward.sandbox.inside.codec import CodecError, decode
from rayreward.sandbox.inside.frames import HEADER, frame, receive, send

FILE_NAME = "program.py"

for _name in ("exit", "quit"):
    # What site adds, which is not loaded here: every second program for standard input ends so.
    setattr(builtins, _name, _sitebuiltins.Quitter(_name, "Ctrl-D (i.e. EOF)"))

_WARM_UP_COUNT = 20
"""Python 3.11 and later rewrite code that runs, up to its eighth time or so."""

_OWN_CALLBACKS = atexit._ncallbacks()

_MESSAGE_LIMIT = 500
"""Characters of an exception's text that travel."""


def warm_up() -> None:
    """Do once what every fork will do, so that its pages are written to here and shared there."""
    main, argv = sys.modules["__main__"], list(sys.argv)
    for _ in range(_WARM_UP_COUNT):
        source = "def solve(words):\n    return [str(len(w)) for w in words if w]\nprint(*sorted(solve(['a', 'b'])))"
        _answer(lambda: exec(compile(source, FILE_NAME, "exec"), _main_module().__dict__), 0)  # noqa: B023
        decode(_answer(lambda: {"a": [1, 2.5, ("b", None)]}, 0)[HEADER.size :])
        _flusher()()
    sys.modules["__main__"], sys.argv[:] = main, argv


def run_whole(connection: int, source: str) -> NoReturn:
    """Run a program to its end, and end as ``python program.py`` would."""
    leave, flush = os._exit, _flusher()
    code = 1
    try:
        code = _run_main(connection, source)
        if _thread._count():
            sys.modules["threading"]._shutdown()
        if atexit._ncallbacks() > _OWN_CALLBACKS:
            atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - the program may have changed anything
        code = code or 1
    finally:
        leave(code if flush() else code or 120)


def _run_main(connection: int, source: str) -> int:
    try:
        exec(compile(source, FILE_NAME, "exec"), _main_module().__dict__)
    except SystemExit as leaving:
        return _exit_code(leaving.code)
    except BaseException as error:  # noqa: BLE001 - the boundary: a program's own errors end here
        if isinstance(error, MemoryError):
            send(connection, frame("out_of_memory"))
        trace = error.__traceback__
        own = trace.tb_next if trace is not None else None  # without the line above
        sys.excepthook(type(error), error.with_traceback(own), own)
        return 1
    return 0


def _exit_code(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def serve_calls(connection: int, source: str) -> NoReturn:
    """Execute a source, then answer calls of its globals until the other side hangs up."""
    leave, flush = os._exit, _flusher()
    try:
        main = _main_module("program")  # as tests import it: what stands under `if __name__ == "__main__"` stays out
        answer = _answer(lambda: exec(compile(source, FILE_NAME, "exec"), main.__dict__), 0)
        flush()
        send(connection, answer)
        while True:
            number, name, args, kwargs = receive(connection)
            answer = _answer(lambda: _find(main, name)(*args, **kwargs), number)  # noqa: B023 - called at once
            flush()
            send(connection, answer)
    except BaseException:  # noqa: BLE001 - hung up; or the program changed what this needs
        leave(0)
    finally:
        leave(0)


def _answer(work: Callable[[], Any], number: int) -> bytes:
    try:
        return frame((number, "returned", work()))
    except BaseException as error:  # noqa: BLE001 - the boundary: a program's own errors end here
        return frame((number, "raised", *_description(error)))


def _description(error: BaseException) -> tuple[str, str, int | None]:
    name = "CodecError" if isinstance(error, CodecError) else type(error).__name__
    try:
        message = str(error)[:_MESSAGE_LIMIT]
    except BaseException:  # noqa: BLE001 - its own __str__
        message = "(cannot be shown)"
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == FILE_NAME:
        line = error.lineno
    return str(name)[:200], str(message), line if type(line) is int else None


def _find(main: types.ModuleType, name: str) -> Any:
    first, *rest = name.split(".")
    if first not in main.__dict__:
        raise NameError(f"name {first!r} is not defined")
    found = main.__dict__[first]
    for attribute in rest:
        found = getattr(found, attribute)
    return found


def _main_module(name: str = "__main__") -> types.ModuleType:
    main = types.ModuleType(name)
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = sys.modules[name] = main
    sys.argv[:] = [FILE_NAME]
    return main


def _flusher() -> Callable[[], bool]:
    """What empties the streams of now, whatever the program puts in their place; whether both were taken."""
    out, errors = sys.stdout, sys.stderr

    def flush() -> bool:
        is_taken = True
        streams = [out, errors]
        if sys.stdout is not out or sys.stderr is not errors:
            streams += [sys.stdout, sys.stderr]
        for stream in streams:
            try:
                if not getattr(stream, "closed", False):  # as Python itself asks: what it held was taken then
                    stream.flush()
            except BaseException:  # noqa: BLE001 - full, closed, or no stream
                is_taken = False
        return is_taken

    return flush
