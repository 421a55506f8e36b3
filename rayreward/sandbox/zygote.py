"""The zygote, seen from this side: its process, and the socket by which it is asked to fork.

What arrives: a plan of how to isolate. What leaves: a process that has said it can, or why it cannot. Its modules are
sent as text, so that neither its interpreter nor its user needs to find this package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from rayreward.errors import SandboxError
from rayreward.sandbox.inside.codec import CodecError, decode
from rayreward.sandbox.inside.zygote import Plan

_MODULES = (
    "codec", "kernel", "seccomp", "landlock", "namespaces", "folders", "frames", "slots", "confine", "tally",
    "interpret", "execute", "zygote",
)  # fmt: skip
"""In the order in which they can be loaded."""

_BOOT = """
import os, sys
package, names = "rayreward.sandbox.inside", ("rayreward", "rayreward.sandbox", "rayreward.sandbox.inside")
modules = {name: type(sys)(name) for name in names}
sys.modules.update(modules)
with open(int(sys.argv[1]), encoding="utf-8") as file:
    sources, plan = eval(file.read())
for name, source in sources:
    module = type(sys)(f"{package}.{name}")
    sys.modules[module.__name__] = module
    setattr(modules[package], name, module)
    exec(compile(source, module.__name__, "exec"), module.__dict__)
module.main(int(sys.argv[2]), module.Plan(**plan))
"""

_START_LIMIT_S = 60.0
"""For an interpreter to start, with what it preloads, on a busy machine."""

_END_LIMIT_S = 10.0
"""For the zygote to kill and clean up after all that runs; then it is killed itself."""


class ZygoteProcess:
    """A zygote that works.

    Args:
        python: its interpreter.
        plan: how it isolates; `folder` is filled in.

    Raises:
        SandboxError: it cannot isolate so here.
    """

    def __init__(self, python: str, plan: Plan) -> None:
        self._lock = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="rayreward-sandbox-")
        os.chmod(self._folder, 0o711)  # programs of other uids pass through to their own folders
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = os.memfd_create("stderr")  # no pipe: nobody reads it while the zygote starts
        try:
            with theirs:
                self._start(python, {**asdict(plan), "folder": self._folder}, theirs)
            self.found = self._greet()
        except BaseException:
            self.close()
            raise

    def _start(self, python: str, plan: dict[str, Any], theirs: socket.socket) -> None:
        reading, writing = os.pipe()
        try:
            command = [python, "-I", "-S", "-X", "utf8", "-c", _BOOT, str(reading), str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                pass_fds=[reading, theirs.fileno()],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            os.close(writing)
            raise SandboxError(f"{python} cannot be started: {error}") from error
        finally:
            os.close(reading)
        with contextlib.suppress(BrokenPipeError), open(writing, "w", encoding="utf-8") as file:
            file.write(repr((_sources(), plan)))

    def _greet(self) -> dict[str, str]:
        self._control.settimeout(_START_LIMIT_S)
        try:
            found = decode(self._control.recv(1 << 16))
        except (OSError, CodecError) as error:
            raise SandboxError(f"the interpreter did not get ready: {self.last_words() or error}") from error
        finally:
            self._control.settimeout(None)
        if "broken" in found:
            raise SandboxError(found["broken"])
        return dict(found)

    def request(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Ask for a program.

        Raises:
            OSError: the zygote is gone.
        """
        with self._lock:
            socket.send_fds(self._control, [message], descriptors)

    def last_words(self) -> str:
        """What it wrote to its standard error, where it failed."""
        try:
            size = os.fstat(self._errors).st_size
            return os.pread(self._errors, 500, max(0, size - 500)).decode("utf-8", "replace").strip()
        except OSError:
            return "closed"

    def close(self) -> None:
        """End it, and all that runs in it; closing again does nothing."""
        self._control.close()
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
        shutil.rmtree(self._folder, ignore_errors=True)

    def forget(self) -> None:
        """Let go of it in a fork of the process that it belongs to."""
        self._control.close()
        self._process = None


def _sources() -> Sequence[tuple[str, str]]:
    package = resources.files("rayreward.sandbox.inside")
    return [(name, (package / f"{name}.py").read_text("utf-8")) for name in _MODULES]
