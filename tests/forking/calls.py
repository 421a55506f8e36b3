"""What a pool's processes are asked to call. Imported there: nothing heavy here."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_filled: list[bytes] = []


def call(argument: Any) -> Any:
    match argument:
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
        case "explode":
            return len(bytearray(2**34))
        case "leak":
            while True:
                _filled.append(bytes(2**20))
        case "raise":
            raise ValueError("as asked")
        case "lambda":
            return lambda: 0
        case "pid":
            return os.getpid()
        case ("spawn and hang" | "spawn and spin" as doing, Path() as file):
            child = subprocess.Popen(["sleep", "600"])
            file.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
            file.with_suffix(".part").rename(file)
            call(doing.removeprefix("spawn and "))
        case "print":
            print("noise on standard output")  # noqa: T201
        case Path():
            argument.touch()
        case "modules":
            return sorted(sys.modules)
    return argument


class OnlyThere:
    """A value that cannot be read where it arrives."""

    def __reduce__(self) -> Any:
        return __import__, ("module_that_nobody_has",)


def give_foreign(_: Any) -> Any:
    return OnlyThere()
