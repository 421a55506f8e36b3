"""Programs of any language, in the process that was confined for them.

What arrives by the connection: a command, its files and environment. What leaves: nothing once it runs (the connection
closes by itself), or one frame that says why it could not be run.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from rayreward.sandbox.inside.folders import write_files
from rayreward.sandbox.inside.frames import frame, receive, send


def execute(connection: int, environment: dict[str, str]) -> NoReturn:
    """Become the command."""
    try:
        argv, files, env = receive(connection)
        write_files(files)
        # Python ignores them, and what is ignored stays so for the next program.
        for one in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(one, signal.SIG_DFL)
        os.execve(argv[0], argv, {**environment, **env})
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing has run yet, and this process ends
        send(connection, frame(f"{type(error).__name__}: {error}"))
    os._exit(127)
