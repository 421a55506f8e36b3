"""Where programs run.

What arrives: a program's text, in a language. What leaves: runs of it on standard inputs, or a Python program that
answers calls. What a program does is a value (`Run`, `Raised`, `Ended`); what the executor cannot do is a
`GradingError`. `SandboxExecutor` is this machine's; `rayreward.programs.remote` asks another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from rayreward.errors import SandboxError
from rayreward.programs.errors import GradingError
from rayreward.programs.languages import Language, find_tool
from rayreward.sandbox import Ended, Finished, Program, Raised, Returned, Sandbox, SandboxLimits
from rayreward.types import FailureKind

T = TypeVar("T")

RunStatus = Literal["exited", "timeout", "out_of_memory", "killed", "compile_error"]


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one run.

    Attributes:
        status: how it ended.
        stdout: what it printed, undecodable bytes replaced.
        detail: for reasons: the last line of its errors, or why it was killed.
        was_cut: whether it printed more than is kept.
    """

    status: RunStatus
    stdout: str = ""
    exit_code: int | None = None
    detail: str = ""
    was_cut: bool = False


RunOnInput = Callable[[str], Run]


class Answering(Protocol):
    """A Python program that has executed its text and answers calls."""

    loaded: Returned | Raised | Ended

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, within_s: float
    ) -> Returned | Raised | Ended:
        """Call a global of it."""
        ...

    def close(self) -> object:
        """End it."""
        ...


class Executor(Protocol):
    """Runs programs; threads may share it."""

    @property
    def description(self) -> Mapping[str, str]:
        """What isolates the programs; it stands in every output's metadata."""
        ...

    def start(self) -> None:
        """Make ready; raises `GradingError` or `SandboxError` where that cannot be."""
        ...

    def prepare(self, language: Language, source: str) -> RunOnInput | Run:
        """What runs the program on an input; or a `Run` that says why none can be: it does not compile."""
        ...

    def open(self, source: str) -> Answering:
        """A Python program, ready for calls."""
        ...

    def close(self) -> None:
        """End all programs."""
        ...


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run of a program may take.

    Attributes:
        time_s: seconds of a run, and of a candidate's loading.
        compile_s: seconds of a compilation.
        memory_bytes: memory of a program.
        output_bytes: of standard output that are kept.
    """

    time_s: float = 6.0
    compile_s: float = 30.0
    memory_bytes: int = 2**30
    output_bytes: int = 2**20


_COMPILER_PROCESSES = 8
"""The driver of GCC starts a compiler, an assembler, a linker's wrapper and a linker."""

_SHELL_PROCESSES = 16
"""A Bash program is made of other commands; pipelines of more are none that a test needs."""

_COMPILER_MEMORY_BYTES = 2 * 2**30
"""cc1plus takes half a gigabyte for what programs like to include."""

_BINARY_BYTES = 32 * 2**20
"""Of a compiled program; -O2 with iostream makes some 20 KB."""


class SandboxExecutor:
    """Runs programs in this machine's sandbox."""

    def __init__(self, sandbox: Sandbox, limits: RunLimits) -> None:
        self._sandbox, self._limits = sandbox, limits
        self._run = SandboxLimits(
            wall_s=limits.time_s,
            cpu_s=limits.time_s,
            memory_bytes=limits.memory_bytes,
            output_bytes=limits.output_bytes,
        )

    @property
    def description(self) -> Mapping[str, str]:
        """The tier."""
        return {"executor": "sandbox", "tier": str(self._sandbox.tier)}

    def start(self) -> None:
        """Start the sandbox."""
        self._sandbox.start()

    def close(self) -> None:
        """Stop the sandbox."""
        self._sandbox.close()

    def prepare(self, language: Language, source: str) -> RunOnInput | Run:
        """Compile where the language needs it."""
        if language.name == "python":
            return lambda stdin: _run_of(_guarded(lambda: self._sandbox.run_python(source, _bytes(stdin), self._run)))
        tool = find_tool(language)
        if tool is None:
            raise GradingError(
                FailureKind.UNAVAILABLE,
                f"{language.name} needs {language.tool}, which is not on PATH; {language.install}",
            )
        files: Mapping[str, bytes] = {language.file_name: _bytes(source)}
        argv: tuple[str, ...] = (tool, language.file_name)
        if language.compile:
            compiled = self._compile(language, tool, files)
            if isinstance(compiled, Run):
                return compiled
            files, argv = {language.binary.removeprefix("./"): compiled}, (language.binary,)
        limits = self._limits_of(language)
        return lambda stdin: _run_of(_guarded(lambda: self._sandbox.run(Program(argv, files, _bytes(stdin)), limits)))

    def _limits_of(self, language: Language) -> SandboxLimits:
        processes = _SHELL_PROCESSES if language.name == "bash" else 0
        return SandboxLimits(
            wall_s=self._run.wall_s,
            cpu_s=self._run.cpu_s,
            memory_bytes=self._run.memory_bytes,
            output_bytes=self._run.output_bytes,
            file_bytes=max(self._run.file_bytes, _BINARY_BYTES),
            process_count=processes,
        )

    def _compile(self, language: Language, tool: str, files: Mapping[str, bytes]) -> bytes | Run:
        limits = SandboxLimits(
            wall_s=self._limits.compile_s,
            cpu_s=self._limits.compile_s,
            memory_bytes=_COMPILER_MEMORY_BYTES,
            file_bytes=_BINARY_BYTES,
            folder_bytes=4 * _BINARY_BYTES,
            process_count=_COMPILER_PROCESSES,
        )
        name = language.binary.removeprefix("./")
        finished = _guarded(
            lambda: self._sandbox.run(Program((tool, *language.compile), files, wanted=(name,)), limits)
        )
        if finished.exit_code == 0 and name in finished.files:
            return finished.files[name]
        return Run("compile_error", detail=_first_error(finished))

    def open(self, source: str) -> Answering:
        """A candidate of the sandbox's."""
        return _guarded(lambda: self._sandbox.open_python(source, limits=self._run))


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except SandboxError as error:
        raise GradingError(FailureKind.UNAVAILABLE, f"the sandbox does not work: {error}") from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _run_of(finished: Finished) -> Run:
    errors = finished.stderr.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    return Run(
        finished.ended,
        finished.stdout.decode("utf-8", "replace"),
        finished.exit_code,
        (finished.note or errors)[:200],
        finished.was_cut,
    )


def _first_error(finished: Finished) -> str:
    if finished.ended != "exited":
        return f"the compiler ended with {finished.ended} {finished.note}".rstrip()
    lines = finished.stderr.decode("utf-8", "replace").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "no binary was made")[:200]
