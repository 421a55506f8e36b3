"""The sandbox: runs programs, in processes that are forked from its zygote.

What arrives: programs, from any thread. What leaves: how each ended. What it promises: an exception is about the
sandbox, never about a program. A zygote that is gone is replaced, and so is one that belongs to the process that this
one was forked from.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError, SandboxError
from rayreward.sandbox.candidate import Candidate
from rayreward.sandbox.choosing import STRONGEST_FIRST, Choice, base_python, choose
from rayreward.sandbox.inside.codec import CodecError
from rayreward.sandbox.inside.frames import frame
from rayreward.sandbox.running import RunningProgram, source_frame
from rayreward.sandbox.values import Finished, Program, SandboxLimits, Tier


class Sandbox:
    """Runs programs that nobody trusts; threads may share it, and each call blocks its own caller only.

    Nothing is started before `start`, or the first program. A sandbox can be pickled; its twin starts anew.

    Args:
        least_tier: what is weaker is refused.
        limits: of a program that comes without its own.
        strongest_tier: what is stronger is not tried.
        python: the interpreter of Python candidates; by default this one, without its virtual environment.
        readable_paths: folders and files that programs may read and execute besides the system's and Python's (a
            language's tools outside of /usr).
        python_paths: folders that Python candidates import from besides the standard library; readable too.
        preload: modules that are imported once, for all candidates, besides common ones of the standard library.

    Raises:
        ConfigError: tiers that exclude each other, or a path that is not absolute.
    """

    def __init__(
        self,
        *,
        least_tier: Tier = Tier.LANDLOCK,
        limits: SandboxLimits = SandboxLimits(),  # noqa: B008 - frozen
        strongest_tier: Tier = Tier.NAMESPACES,
        python: str | Path | None = None,
        readable_paths: Sequence[str | Path] = (),
        python_paths: Sequence[str | Path] = (),
        preload: Sequence[str] = (),
    ) -> None:
        self._arguments: dict[str, Any] = {
            "least_tier": least_tier, "limits": limits, "strongest_tier": strongest_tier, "python": python,
            "readable_paths": tuple(readable_paths), "python_paths": tuple(python_paths), "preload": tuple(preload),
        }  # fmt: skip
        least, strongest = STRONGEST_FIRST.index(Tier(least_tier)), STRONGEST_FIRST.index(Tier(strongest_tier))
        self._tiers = STRONGEST_FIRST[strongest : least + 1]
        if not self._tiers:
            raise ConfigError(f"Sandbox: no tier is at least {least_tier} and at most {strongest_tier}")
        for path in (*readable_paths, *python_paths):
            if not os.path.isabs(path):
                raise ConfigError(f"Sandbox: {os.fspath(path)!r} is not an absolute path")
        self._limits = limits
        self._python = os.path.realpath(python or base_python())
        self._choices = {
            "read": [os.fspath(path) for path in (*readable_paths, *python_paths)],
            "python_paths": [os.fspath(path) for path in python_paths],
            "preload": list(preload),
        }
        self._lock = threading.Lock()
        self._chosen: Choice | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._owner = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._arguments,)

    @property
    def tier(self) -> Tier:
        """What isolates programs here; starts the sandbox where it is not running."""
        return self._running().tier

    def start(self) -> None:
        """Find the strongest tier that works here and start it; does nothing where it is running.

        Raises:
            SandboxError: nothing as strong as `least_tier` works; the message says what was tried, and what to do.
        """
        self._running()

    def report(self) -> Mapping[str, str]:
        """What isolates: ``tier``, ``landlock``, ``seccomp``, ``uid``, ``python``, and why no stronger tier works."""
        return dict(self._running().found)

    def run(self, program: Program, limits: SandboxLimits | None = None) -> Finished:
        """Run a program of any language in a fresh folder.

        Raises:
            SandboxError: the sandbox itself does not work (never what a program does).
            ConfigError: the command and its files are too large to be sent.
        """
        limits = limits or self._limits
        try:
            content = frame((list(program.argv), dict(program.files), dict(program.env)))
        except CodecError as error:
            raise ConfigError(f"Sandbox.run: the program cannot be sent: {error}") from error
        running = self._spawn(content, limits, is_python=False, stdin=program.stdin, wanted=program.wanted)
        deadline_s = running.started_s + limits.wall_s
        try:
            problem = running.receive(deadline_s)
        except (OSError, EOFError, CodecError):  # it runs
            return running.wait(deadline_s)
        return replace(running.wait(deadline_s), note=f"{program.argv[0]} could not be run: {problem}")

    def open_python(self, source: str, *, limits: SandboxLimits | None = None, stdin: bytes = b"") -> Candidate:
        """Execute a source, as an import of it would, in a process that then answers calls.

        Raises:
            SandboxError: as for `run`.
            ConfigError: the source is too large to be sent.
        """
        running, deadline_s = self._start_python(source, limits or self._limits, stdin, is_whole=False)
        return Candidate(running, loaded_by_s=deadline_s)

    def run_python(self, source: str, stdin: bytes, limits: SandboxLimits | None = None) -> Finished:
        """Run a whole Python program, as ``python program.py`` would, without starting an interpreter.

        Raises:
            SandboxError: as for `run`.
            ConfigError: the source is too large to be sent.
        """
        running, deadline_s = self._start_python(source, limits or self._limits, stdin, is_whole=True)
        return running.wait(deadline_s)

    def _start_python(
        self, source: str, limits: SandboxLimits, stdin: bytes, *, is_whole: bool
    ) -> tuple[RunningProgram, float]:
        try:
            content = source_frame(source, is_whole=is_whole)
        except CodecError as error:
            raise ConfigError(f"Sandbox: the source cannot be sent: {error}") from error
        running = self._spawn(content, limits, is_python=True, stdin=stdin)
        return running, running.started_s + limits.wall_s

    def _spawn(
        self, content: bytes, limits: SandboxLimits, *, is_python: bool, stdin: bytes, wanted: tuple[str, ...] = ()
    ) -> RunningProgram:
        running = self._request(limits, is_python, stdin, wanted)
        deadline_s = running.started_s + limits.wall_s
        running.send(content, deadline_s)
        running.expect_ready(deadline_s)
        return running

    def _request(self, limits: SandboxLimits, is_python: bool, stdin: bytes, wanted: tuple[str, ...]) -> RunningProgram:
        def request(chosen: Choice) -> RunningProgram:
            return RunningProgram(
                chosen.zygote, tier=chosen.tier, limits=limits, is_python=is_python, stdin=stdin, wanted=wanted
            )

        chosen = self._running()
        try:
            return request(chosen)
        except OSError:
            self._drop(chosen)  # it was killed, by whoever; another one is as good
        try:
            return request(self._running())
        except OSError as error:
            raise SandboxError("the sandbox's zygote ends as soon as it has started; is memory short?") from error

    def _running(self) -> Choice:
        with self._lock:
            if self._chosen is not None and self._owner != os.getpid():
                self._chosen.zygote.forget()  # this is a fork of the process that started it
                self._chosen = None
            if self._chosen is None:
                self._chosen = choose(self._tiers, self._python, self._choices)
                self._owner = os.getpid()
                self._finalizer = weakref.finalize(self, self._chosen.zygote.close)
            return self._chosen

    def _drop(self, dead: Choice) -> None:
        with self._lock:
            if self._chosen is dead:
                self._chosen = None
                self._finalize()

    def _finalize(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
            self._finalizer = None

    def close(self) -> None:
        """Kill every program that runs, and leave nothing behind; a later call starts anew."""
        with self._lock:
            self._chosen = None
            self._finalize()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rebuild(arguments: dict[str, Any]) -> Sandbox:
    return Sandbox(**arguments)
