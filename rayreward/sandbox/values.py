"""What crosses the border of a sandbox: limits and programs go in, what became of them comes out.

What arrives: nothing. What leaves: frozen values. What a candidate returns is never of a class of its own: it was
flattened to plain values (`rayreward.sandbox.inside.codec`), and what has no plain form is an `Opaque`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from rayreward.errors import ConfigError

KIB, MIB, GIB = 2**10, 2**20, 2**30


class Tier(StrEnum):
    """How programs are kept apart from the machine, the strongest first.

    Attributes:
        NAMESPACES: users, processes, network, IPC and a file system of their own, and all of `LANDLOCK`'s.
        LANDLOCK: the file system by Landlock, system calls by a seccomp allow-list, rlimits, a uid of its own where
            that is possible. Needs no privilege, and works in containers that forbid namespaces.
        NONE: a process with rlimits. Never chosen unless `least_tier` asks for it; for tests of trusted programs.
    """

    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    NONE = "none"


@dataclass(frozen=True)
class SandboxLimits:
    """What one program may use.

    Attributes:
        wall_s: for a program; for a candidate, to execute its source (each call has its own `within_s`).
        cpu_s: CPU seconds of a process, rounded up to whole ones.
        memory_bytes: address space of a Python candidate; of other programs, the data of each process and, watched 20
            times a second, of all its processes together.
        output_bytes: of standard output and of standard error, each; what is more is cut, and the result says so.
        file_bytes: of one file.
        folder_bytes: of all that a program leaves in its folder at any time.
        process_count: processes that a program may have besides its first; 0 forbids to start any. Ignored for
            Python candidates, which never may. Threads are allowed.
    """

    wall_s: float = 10.0
    cpu_s: float = 10.0
    memory_bytes: int = GIB
    output_bytes: int = MIB
    file_bytes: int = 16 * MIB
    folder_bytes: int = 64 * MIB
    process_count: int = 0

    def __post_init__(self) -> None:
        """Refuse what no program could live with.

        Raises:
            ConfigError: a limit that cannot work.
        """
        least = {
            "wall_s": 0.01, "cpu_s": 0.01, "memory_bytes": 128 * MIB, "output_bytes": 1, "file_bytes": 1,
            "folder_bytes": 64 * KIB, "process_count": 0,
        }  # fmt: skip
        for name, smallest in least.items():
            value = getattr(self, name)
            if not smallest <= value < float("inf"):
                raise ConfigError(f"SandboxLimits({name}={value!r}): must be finite and at least {smallest}")


@dataclass(frozen=True)
class Program:
    """A program in any language, as its command line.

    Attributes:
        argv: the command; ``argv[0]`` is an absolute path, or a file of `files` as ``./name``.
        files: written into the program's folder, which is its working directory, before it starts, all executable;
            names may have folders (``src/main.cpp``), and may not lead out.
        env: the whole environment besides PATH, HOME, TMPDIR and LANG, which may be overridden.
        wanted: files that are read back from the folder when the program has ended (`Finished.files`): what a compiler
            made, to run it many times. Those that are not there, or no plain files, or over `file_bytes`, are left out.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Attributes:
        exit_code: what it exited with; None where a signal ended it.
        signal: the signal's number; None where it exited.
        ended: ``exited`` by itself with any code; ``killed`` by a signal or for a limit that is not one of the others
            (see `note`); ``timeout`` for its wall or CPU time; ``out_of_memory``.
        was_cut: whether it wrote more than `stdout` or `stderr` hold.
        cpu_s: user and system time of all its processes that were waited for.
        files: those of `Program.wanted` that were there.
        note: why it was killed, or could not be started; for people.
    """

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    ended: Literal["exited", "killed", "timeout", "out_of_memory"]
    was_cut: bool
    wall_s: float
    cpu_s: float
    tier: Tier
    files: Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Returned:
    """A call returned; `value` is made of plain values and `Opaque`."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """A call raised; or its arguments or value cannot travel (`type_name` is then ``CodecError``).

    Attributes:
        type_name: the exception's class, as the candidate names it: ``ValueError``, ``SystemExit``.
        message: its text, at most a few hundred characters, as the candidate tells it.
        line: where in the candidate's source, None where that is not known.
    """

    type_name: str
    message: str
    line: int | None = None


@dataclass(frozen=True)
class Ended:
    """The candidate's process ended before it answered, or said what is no answer and was killed; it is gone."""

    finished: Finished
