"""The sandbox: chooses how programs are isolated here, and runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rayreward.sandbox.candidate import Candidate
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
        ConfigError: a limit that cannot work.
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
        raise NotImplementedError

    @property
    def tier(self) -> Tier:
        """What isolates programs here; starts the sandbox where it is not running."""
        raise NotImplementedError

    def start(self) -> None:
        """Find the strongest tier that works here and start it; does nothing where it is running.

        Raises:
            SandboxError: nothing as strong as `least_tier` works; the message says what was tried, and what to do.
        """
        raise NotImplementedError

    def report(self) -> Mapping[str, str]:
        """What isolates: ``tier``, ``landlock``, ``seccomp``, ``uid``, ``python``, and why no stronger tier works."""
        raise NotImplementedError

    def run(self, program: Program, limits: SandboxLimits | None = None) -> Finished:
        """Run a program of any language in a fresh folder.

        Raises:
            SandboxError: the sandbox itself does not work (never what a program does).
        """
        raise NotImplementedError

    def open_python(self, source: str, *, limits: SandboxLimits | None = None, stdin: bytes = b"") -> Candidate:
        """Execute a source as ``__main__`` in a process that then answers calls.

        Raises:
            SandboxError: as for `run`.
        """
        raise NotImplementedError

    def run_python(self, source: str, stdin: bytes, limits: SandboxLimits | None = None) -> Finished:
        """Run a whole Python program, as ``python program.py`` would, without starting an interpreter.

        Raises:
            SandboxError: as for `run`.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Kill every program that runs, and leave nothing behind; a later call starts anew."""
        raise NotImplementedError

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
