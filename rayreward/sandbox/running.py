"""A program that runs: its input, its outputs, and the two sockets that it and the zygote talk by.

What arrives: a zygote and limits. What leaves: frames of the program while it runs, and in the end one `Finished`. The
deadline is kept here. All that the program says is bounded and taken for what it is: at worst the program is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any, Literal

from rayreward.errors import SandboxError
from rayreward.sandbox.inside.codec import MAX_BYTES, CodecError, decode, encode
from rayreward.sandbox.inside.confine import LIMITS, Limits
from rayreward.sandbox.inside.frames import HEADER, REPORT, RETURNED
from rayreward.sandbox.values import Finished, SandboxLimits, Tier
from rayreward.sandbox.zygote import ZygoteProcess

_END_LIMIT_S = 30.0
"""For the zygote to report a program that was killed: it cleans up, and others of its programs may be in the way; a
fork bomb beside a busy machine has taken more than ten seconds."""

_STDOUT, _STDERR = "stdout", "stderr"

_Why = Literal["exited", "killed", "timeout", "out_of_memory"]


class RunningProgram:
    """One program, from the request to its end.

    Args:
        zygote: who forks it.
        tier: what isolates it.
        limits: its limits.
        is_python: whether a source is interpreted, and no command executed.
        stdin: all of its standard input.
        wanted: names of files that come back.

    Raises:
        OSError: the zygote is gone.
    """

    def __init__(
        self,
        zygote: ZygoteProcess,
        *,
        tier: Tier,
        limits: SandboxLimits,
        is_python: bool,
        stdin: bytes = b"",
        wanted: tuple[str, ...] = (),
    ) -> None:
        self._zygote, self._tier, self._limits, self._wanted = zygote, tier, limits, wanted
        self._finished: Finished | None = None
        self.started_s = time.monotonic()
        self._open: contextlib.ExitStack = contextlib.ExitStack()
        with contextlib.ExitStack() as until_sent:
            self._report, report = _pair(self._open, until_sent)
            self._connection, connection = _pair(self._open, until_sent)
            self._outputs = {name: self._memory(name) for name in (_STDOUT, _STDERR)}
            self._returned = self._memory("returned") if wanted else -1
            given = _input(stdin)
            until_sent.callback(os.close, given)
            descriptors = [report.fileno(), given, *self._outputs.values(), connection.fileno()]
            try:
                zygote.request(
                    _request(limits, is_python, wanted), [*descriptors, *([self._returned] if wanted else [])]
                )
            except BaseException:
                self._open.close()
                raise

    def _memory(self, name: str) -> int:
        """A file without a place: nobody has to read while it is written to."""
        made = os.memfd_create(name)
        self._open.callback(os.close, made)
        return made

    def send(self, content: bytes, deadline_s: float) -> None:
        """Send a frame; who does not take it is found out by whoever reads next."""
        with contextlib.suppress(OSError):
            self._connection.settimeout(_left(deadline_s))
            self._connection.sendall(content)

    def expect_ready(self, deadline_s: float) -> None:
        """Wait until its process is confined, and has seen nothing of the program yet.

        Raises:
            SandboxError: it could not be confined.
        """
        try:
            said = self.receive(deadline_s)
        except TimeoutError:
            self.end("deadline")
        except (EOFError, CodecError) as error:
            finished = self.end("not ready")  # raises where no process could be started at all
            raise SandboxError(f"a program's process ended before it was confined: {error!r}, {finished}") from error
        else:
            if said != "ready":
                self.end("not ready")
                raise SandboxError(f"a program's process could not be confined: {said}")

    def receive(self, deadline_s: float) -> Any:
        """The program's next frame.

        Raises:
            TimeoutError: none came in time.
            EOFError: it ended, or closed its connection.
            CodecError: what came is none.
        """
        (size,) = HEADER.unpack(self._read(HEADER.size, deadline_s))
        if size > MAX_BYTES:
            raise CodecError(f"a frame of {size} bytes")
        return decode(self._read(size, deadline_s))

    def _read(self, size: int, deadline_s: float) -> bytes:
        if self._finished is not None:
            raise EOFError
        chunks = []
        while size:
            self._connection.settimeout(_left(deadline_s))
            try:
                chunk = self._connection.recv(min(size, 1 << 20))
            except ConnectionError:
                chunk = b""
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def wait(self, deadline_s: float) -> Finished:
        """Until it ends by itself, or `deadline_s` has come and it is killed."""
        return self.end("deadline", wait_until_s=deadline_s)

    def end(self, reason: str, *, wait_until_s: float = 0.0) -> Finished:
        """How it ended; `reason` is why it is killed if it has not by `wait_until_s`."""
        if self._finished is None:
            try:
                self._finished = self._end(reason, wait_until_s)
            finally:
                self._open.close()
        return self._finished

    def _end(self, reason: str, wait_until_s: float) -> Finished:
        answer = self._hear(_left(wait_until_s)) if wait_until_s > time.monotonic() else None
        if answer is None:
            with contextlib.suppress(OSError):
                self._report.send(reason.encode())
            answer = self._hear(_END_LIMIT_S)
        wall_s = time.monotonic() - self.started_s
        if answer is None:
            raise SandboxError(
                "a program was to be ended, and the zygote did not answer; the sandbox must be restarted"
            )
        has_run, status, cpu_s, note = answer
        if not has_run:
            raise SandboxError(f"no program could be started: {note}; run fewer at a time, or raise the user's limits")
        code = os.waitstatus_to_exitcode(status)
        if code != -signal.SIGKILL:
            note = ""  # it ended by itself before it could be killed
        texts = {name: self._text(name) for name in self._outputs}
        return Finished(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stdout=texts[_STDOUT],
            stderr=texts[_STDERR],
            ended=self._why(code, cpu_s, note),
            was_cut=any(os.fstat(one).st_size > self._limits.output_bytes for one in self._outputs.values()),
            wall_s=wall_s,
            cpu_s=cpu_s,
            tier=self._tier,
            files=self._files(),
            note=note or _signal_note(-code),
        )

    def _hear(self, within_s: float) -> tuple[bool, int, float, str] | None:
        """The zygote's report; None where none came."""
        self._report.settimeout(within_s)
        try:
            content = self._report.recv(1 << 16)
        except TimeoutError:
            return None
        except OSError:
            content = b""
        if not content:
            raise SandboxError(
                f"the zygote ended while a program ran ({self._zygote.last_words()}); the next program starts another"
            )
        has_run, status, cpu_s = REPORT.unpack_from(content)
        return has_run, status, cpu_s, content[REPORT.size :].decode("utf-8", "replace")

    def _why(self, code: int, cpu_s: float, note: str) -> _Why:
        if note == "deadline":
            return "timeout"
        if note == "memory":
            return "out_of_memory"
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and not note and cpu_s >= self._limits.cpu_s):
            return "timeout"
        if code < 0 or note:
            return "killed"
        return "out_of_memory" if code and self._says_out_of_memory() else "exited"

    def _says_out_of_memory(self) -> bool:
        try:
            while True:
                if self.receive(time.monotonic()) == "out_of_memory":
                    return True
        except (OSError, EOFError, CodecError):
            return False

    def _text(self, name: str) -> bytes:
        return os.pread(self._outputs[name], self._limits.output_bytes, 0)

    def stdout_tail(self, size_bytes: int) -> bytes:
        """The last of its standard output so far."""
        if self._finished is not None:
            return self._finished.stdout[-size_bytes:]
        end = os.fstat(self._outputs[_STDOUT]).st_size
        return os.pread(self._outputs[_STDOUT], size_bytes, max(0, end - size_bytes))

    def _files(self) -> Mapping[str, bytes]:
        if self._returned < 0:
            return {}
        found, at = {}, 0
        while header := os.pread(self._returned, RETURNED.size, at):
            index, size = RETURNED.unpack(header)
            found[self._wanted[index]] = os.pread(self._returned, size, at + RETURNED.size)
            at += RETURNED.size + size
        return found


def _pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return ours.enter_context(one), theirs.enter_context(other)


def _input(stdin: bytes) -> int:
    if not stdin:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    made = os.memfd_create("stdin")
    with open(made, "wb", closefd=False) as file:
        file.write(stdin)
    os.lseek(made, 0, os.SEEK_SET)
    return made


def _request(limits: SandboxLimits, is_python: bool, wanted: tuple[str, ...]) -> bytes:
    kept = Limits(
        is_python=is_python,
        cpu_s=limits.cpu_s,
        memory_bytes=limits.memory_bytes,
        largest_file_bytes=max(limits.file_bytes, limits.output_bytes + 1),  # one more than is shown: to see a cut
        folder_bytes=limits.folder_bytes,
        process_count=0 if is_python else limits.process_count,
        wanted_count=len(wanted),
    )
    return LIMITS.pack(*kept) + (encode(list(wanted)) if wanted else b"")


def source_frame(source: str, *, is_whole: bool) -> bytes:
    """A Python program, as the process that will run it expects it.

    Raises:
        CodecError: it is too large.
    """
    content = source.encode("utf-8", "surrogatepass")
    if len(content) >= MAX_BYTES:
        raise CodecError(f"a source of more than {MAX_BYTES} bytes")
    return HEADER.pack(len(content) + 1) + bytes([is_whole]) + content


def _left(deadline_s: float) -> float:
    """Seconds until then; never 0, which would mean not to wait for what is there already."""
    return max(deadline_s - time.monotonic(), 1e-4)


def _signal_note(number: int) -> str:
    if number <= 0:
        return ""
    names = {member.value: member.name for member in signal.Signals}
    return names.get(number, str(number))
