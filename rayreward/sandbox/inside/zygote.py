"""The process that programs are forked from: small, preloaded, and ignorant.

What arrives on its control socket: requests, each with the descriptors of one program. What leaves: on that program's
own report socket, how it ended. It never sees a source, an input or an output, so that a fork finds nothing of another
program in its memory. What it promises: whoever hangs up the report socket has the program killed; a program is
reported when no process of it is left and its folder is empty; when the control socket closes, all ends.
"""

from __future__ import annotations

import _socket
import array
import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import NoReturn

from rayreward.sandbox.inside import execute, folders, interpret, kernel, landlock, namespaces, seccomp, tally
from rayreward.sandbox.inside.codec import decode, encode
from rayreward.sandbox.inside.confine import (
    CONNECTION,
    LIMITS,
    MAX_THREADS,
    Limits,
    Means,
    confine,
    reserve_descriptors,
    warm_up,
)
from rayreward.sandbox.inside.frames import READY, REPORT, RETURNED, frame, receive_raw, send
from rayreward.sandbox.inside.slots import FIRST_UID, SLOT_COUNT, Slot, Slots

WATCH_S = 0.05
"""How often programs that live longer than this are looked at for what no rlimit bounds."""

PRELOADED = (
    "abc", "array", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "io", "itertools", "json", "math",
    "numbers", "operator", "random", "re", "statistics", "string", "textwrap", "threading", "time", "traceback",
    "types", "typing",
)  # fmt: skip
"""What model-written programs import most; each saves its import to every program that wants it."""

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""Of every program, besides where its folder is."""

_REQUEST_BYTES = 1 << 16


@dataclass(frozen=True)
class Plan:
    """How the zygote is to isolate.

    Attributes:
        tier: "namespaces", "landlock" or "none".
        folder: an empty one that it may use.
        read: what programs may read and execute.
        gives_uids: whether each program has a uid of its own, where this process may give them.
    """

    tier: str
    folder: str
    read: list[str]
    python_paths: list[str]
    preload: list[str]
    gives_uids: bool


@dataclass
class Running:
    """A program whose leader has not been waited for."""

    pid: int
    pidfd: int
    report: _socket.socket
    slot: Slot
    limits: Limits
    wanted: list[str]
    returned: int
    started_s: float
    reason: str = ""


def main(control: int, plan: Plan) -> NoReturn:
    """Prepare, say how it went, and fork programs until the other side hangs up."""
    connection = _socket.socket(fileno=reserve_descriptors(control))
    try:
        zygote = Zygote(connection, plan)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever is in the way is the answer
        connection.send(encode({"broken": f"{type(error).__name__}: {error}"}))
        os._exit(1)
    connection.send(encode(zygote.found))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    try:
        zygote.serve()
        os._exit(0)
    finally:
        traceback.print_exc()  # kept for who finds it gone
        os._exit(1)


class Zygote:
    """Holds the slots, and the programs that run in them."""

    def __init__(self, control: _socket.socket, plan: Plan) -> None:
        self.found: dict[str, str] = {}
        self._control, self._plan = control, plan
        self._running: dict[int, Running] = {}  # by pidfd and by report descriptor
        self._home = plan.folder
        self._read = plan.read
        self._allow_descriptors()
        self._import()
        self._isolate()
        self._means = self._prepare()
        self._slots = Slots(
            self._home,
            self._read,
            landlock_version=self._landlock,
            gives_uids=self._gives_uids,
            mounts=plan.tier == "namespaces",
        )
        self._pid = os.getpid()
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)
        interpret.warm_up()
        warm_up()
        for name in [name for name in sys.modules if name.split(".")[0] == "rayreward"]:
            del sys.modules[name]
        gc.collect()
        gc.freeze()
        gc.disable()

    def _allow_descriptors(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = SLOT_COUNT * 4 + 64
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def _import(self) -> None:
        sys.path += self._plan.python_paths
        # What modules do in each fork of theirs (random draws a new seed, threading new locks) costs a third of a
        # fork. Nothing needs it: no other thread exists here, and programs that draw the same numbers are repeatable.
        register, os.register_at_fork = os.register_at_fork, lambda **_: None
        for name in (*PRELOADED, *self._plan.preload):
            importlib.import_module(name)
        os.register_at_fork = register
        os.environ.clear()
        os.environ.update(_ENVIRONMENT)

    def _isolate(self) -> None:
        """Move into namespaces, where they are planned, and give up what is not needed any more."""
        os.umask(0o022)
        if self._plan.tier == "namespaces":
            is_user = namespaces.enter()
            has_processes = namespaces.make_root(self._plan.folder, self._read, SLOT_COUNT)
            self._home = "/tmp"
            users = "user, " if is_user else ""
            self.found["namespaces"] = f"{users}mount, pid, net, ipc, uts, cgroup; /proc: {has_processes}"
            self._gives_uids = self._plan.gives_uids and not is_user
        else:
            self._gives_uids = self._plan.gives_uids and os.geteuid() == 0
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        kernel.drop_bounding_set()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)

    def _prepare(self) -> Means:
        is_isolated = self._plan.tier != "none"
        self._landlock = landlock.version() if is_isolated else 0
        if self._plan.tier == "landlock" and not self._landlock:
            raise OSError("this kernel has no Landlock, or it is switched off or forbidden here")
        if is_isolated and not seccomp.is_supported():
            raise OSError(f"no seccomp filter is written for {kernel.MACHINE}")
        rules = {
            (is_python, may_fork): seccomp.Rules(
                may_execute=not is_python,
                may_fork=may_fork and not is_python,
                may_signal=landlock.has_signal_scope(self._landlock) or self._gives_uids,
                owns_files=self._gives_uids or self._plan.tier == "namespaces",
            )
            for is_python in (True, False)
            for may_fork in (True, False)
        }
        filters = {key: seccomp.Filter(one) for key, one in rules.items()} if is_isolated else {}
        user = os.geteuid()
        self.found |= {
            "landlock": f"version {self._landlock}" if self._landlock else "none",
            "seccomp": f"an allow-list for {kernel.MACHINE}" if filters else "none",
            "uid": f"{FIRST_UID} and above, each program its own" if self._gives_uids else f"{user}, the caller's own",
            "python": sys.executable,
        }
        return Means(
            filters=filters,
            has_capabilities=self._plan.tier == "namespaces" or user == 0,
            hides_slots=self._plan.tier == "namespaces" and not self._landlock,
        )

    def serve(self) -> None:
        """Until the control socket closes."""
        watched_s = time.monotonic()
        while True:
            is_asked = False
            for descriptor, _ in self._poll.poll(WATCH_S if self._running else None):
                if descriptor == self._control.fileno():
                    is_asked = True
                elif descriptor in self._running:
                    one = self._running[descriptor]
                    if descriptor == one.pidfd:
                        self._finish(one)
                    else:
                        self._hear(one)
            # Last, because it gives numbers anew that these events were about.
            if is_asked and not self._accept():
                self._end_all()
                return
            if self._running and time.monotonic() - watched_s > WATCH_S:
                watched_s = time.monotonic()
                self._watch()

    def _accept(self) -> bool:
        content, ancillary, _, _ = self._control.recvmsg(_REQUEST_BYTES, 256)
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if not content:
            return False
        report, *others = descriptors
        limits = Limits._make(LIMITS.unpack_from(content))
        wanted = decode(content[LIMITS.size :]) if limits.wanted_count else []
        answer = _socket.socket(fileno=report)
        try:
            self._start(answer, others, limits, wanted)
        except OSError as error:
            _tell(answer, REPORT.pack(False, 0, 0.0) + str(error).encode())
        finally:
            for one in others[:4]:
                os.close(one)
        return True

    def _start(self, report: _socket.socket, descriptors: list[int], limits: Limits, wanted: list[str]) -> None:
        slot = self._slots.take(limits.folder_bytes)
        try:
            pid = os.fork()
        except OSError:
            self._slots.give_back(slot)
            raise
        if pid == 0:
            self._become(slot, descriptors[:4], limits)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._slots.give_back(slot)
            raise
        returned = descriptors[4] if len(descriptors) > 4 else -1
        one = Running(pid, pidfd, report, slot, limits, wanted, returned, time.monotonic())
        for descriptor in (pidfd, report.fileno()):
            self._running[descriptor] = one
            self._poll.register(descriptor, select.EPOLLIN)

    def _become(self, slot: Slot, descriptors: list[int], limits: Limits) -> NoReturn:
        """In the fork: confine it, then run what the connection says."""
        connection = descriptors[3]
        try:
            folder = confine(self._means, slot, limits, descriptors, self._pid)
            connection = CONNECTION
            os.write(connection, READY)
            if not limits.is_python:
                execute.execute(connection, {**_ENVIRONMENT, "HOME": folder, "TMPDIR": folder})
            os.environ["HOME"] = os.environ["TMPDIR"] = folder
            gc.enable()
            content = receive_raw(connection)
            source = content[1:].decode("utf-8", "surrogatepass")
            if content[0]:
                interpret.run_whole(connection, source)
            interpret.serve_calls(connection, source)
        except BaseException as error:  # noqa: BLE001 - the boundary: no program has run yet
            for one in (connection, CONNECTION):  # where it is depends on which step failed
                with contextlib.suppress(OSError):
                    send(one, frame(f"{type(error).__name__}: {error}"))
        finally:
            os._exit(1)

    def _hear(self, one: Running) -> None:
        """The caller wants the program to end, or is gone."""
        try:
            said = one.report.recv(64)
        except OSError:
            said = b""
        self._poll.unregister(one.report.fileno())
        self._kill(one, said.decode("ascii", "replace") or "closed")

    def _kill(self, one: Running, reason: str) -> None:
        one.reason = one.reason or reason
        _kill_group(one.pid)

    def _finish(self, one: Running) -> None:
        """The leader has ended: so do all that it started, and then its slot is free for the next."""
        # Not waited for yet, so its number is still its group's. Programs can leave neither group nor session.
        _kill_group(one.pid)
        _, status, usage = os.wait4(one.pid, 0)
        cpu_s = usage.ru_utime + usage.ru_stime
        while one.limits.process_count:
            try:
                _, _, usage = os.wait4(-one.pid, 0)
            except ChildProcessError:
                break
            cpu_s += usage.ru_utime + usage.ru_stime
        self._return_files(one)
        self._slots.give_back(one.slot)
        _tell(one.report, REPORT.pack(True, status, cpu_s) + one.reason.encode())
        for descriptor in (one.pidfd, one.report.fileno()):
            del self._running[descriptor]
            # Closing is not enough: a fork that has just begun still holds a copy, and the number may come again.
            self._forget(descriptor)
        one.report.close()
        os.close(one.pidfd)

    def _forget(self, descriptor: int) -> None:
        try:  # noqa: SIM105 - see _tell
            self._poll.unregister(descriptor)
        except OSError:
            pass  # it was heard already

    def _return_files(self, one: Running) -> None:
        if one.returned < 0:
            return
        for at, name in enumerate(one.wanted):
            content = folders.read_file(one.slot.path, name, at_most=one.limits.largest_file_bytes)
            if content is not None:
                send(one.returned, RETURNED.pack(at, len(content)) + content)
        os.close(one.returned)

    def _watch(self) -> None:
        before_s = time.monotonic() - WATCH_S
        old = {one.pid: one for one in self._running.values() if one.started_s < before_s and not one.reason}
        if not old:
            return
        may_fork = any(one.limits.process_count for one in old.values())
        tallies = tally.count(old, leaders_only=not may_fork)
        for pid, one in old.items():
            found = tallies[pid]
            if found.process_count > one.limits.process_count + 1:
                self._kill(one, f"processes: {found.process_count} at once")
            elif found.thread_count - found.process_count > MAX_THREADS:
                self._kill(one, f"threads: {found.thread_count} at once")
            elif found.memory_bytes > one.limits.memory_bytes:
                self._kill(one, "memory")
            elif folders.size_bytes(one.slot.path, at_most=one.limits.folder_bytes) > one.limits.folder_bytes:
                self._kill(one, f"folder: more than {one.limits.folder_bytes} bytes, or too many files")

    def _end_all(self) -> None:
        for one in {one.pid: one for one in self._running.values()}.values():
            self._kill(one, "closed")
            self._finish(one)
        self._slots.remove()


def _tell(report: _socket.socket, what: bytes) -> None:
    try:  # noqa: SIM105 - written for few instructions: after a fork every page of them is copied again
        report.send(what)
    except OSError:
        pass  # nobody waits for it any more


def _kill_group(pid: int) -> None:
    """Of a child that has not been waited for."""
    for kill in (os.kill, os.killpg):  # it may not have made its group yet
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
