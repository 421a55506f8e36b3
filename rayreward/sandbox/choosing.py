"""Which tier works here: each is tried, the strongest first, and has to show that it isolates.

What arrives: the tiers that are allowed. What leaves: a zygote at the first that works, or an error that says what was
in the way of each. A tier is not believed by its system calls' return values: a Python program that looks for gaps runs
in it first.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rayreward.errors import SandboxError
from rayreward.sandbox.inside.zygote import Plan
from rayreward.sandbox.running import RunningProgram, source_frame
from rayreward.sandbox.values import MIB, SandboxLimits, Tier
from rayreward.sandbox.zygote import ZygoteProcess

READABLE = (
    "/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives",
    "/etc/ssl/openssl.cnf",
)  # fmt: skip
"""What interpreters, compilers and their programs need of a system; there are no secrets in it."""

_PROBE = """
import colorsys, os, socket, zoneinfo
with open("probe", "w") as file:
    file.write("written")
with open("probe") as file:
    assert file.read() == "written"
def is_refused(work):
    try:
        work()
    except OSError:
        return True
wrong = [name for name, work in {
    "reads /etc/passwd": lambda: open("/etc/passwd").read(),
    "lists /": lambda: os.listdir("/home"),
    "opens sockets": lambda: socket.socket(),
    "starts processes": lambda: os.kill(os.fork(), 9),
}.items() if IS_ISOLATED and not is_refused(work)]
print(", ".join(wrong) or "isolated")
"""
"""Run once, before a tier is taken for working. Its first imports are of modules that nobody preloads."""

_PROBE_LIMITS = SandboxLimits(wall_s=30.0, memory_bytes=512 * MIB)

STRONGEST_FIRST = (Tier.NAMESPACES, Tier.LANDLOCK, Tier.NONE)


@dataclass(frozen=True)
class Choice:
    """A tier that works, and what isolates there."""

    zygote: ZygoteProcess
    tier: Tier
    found: Mapping[str, str]


def choose(tiers: Sequence[Tier], python: str, choices: Mapping[str, list[str]]) -> Choice:
    """Start a zygote at the first of the tiers that works.

    Args:
        tiers: the strongest first.
        python: the interpreter.
        choices: what else it may read, where it imports from, and what it imports first (`Plan`).

    Raises:
        SandboxError: none works.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxError(f"programs can be isolated on Linux only, and this is {sys.platform}")
    prefix = _prefix_of(python)
    problems: dict[str, str] = {}
    for tier, gives_uids in _ways(tiers, prefix, problems):
        plan = Plan(tier.value, "", [*READABLE, *_readable_of(prefix), *choices["read"]], choices["python_paths"],
                    choices["preload"], gives_uids)  # fmt: skip
        try:
            zygote = ZygoteProcess(python, plan)
        except SandboxError as error:
            problems[_name(tier, gives_uids)] = str(error)
            continue
        problem = _probe(zygote, tier)
        if problem is None:
            return Choice(zygote, tier, {"tier": tier.value, **zygote.found, **problems})
        zygote.close()
        problems[_name(tier, gives_uids)] = problem
    listed = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    raise SandboxError(
        f"programs were to be isolated at tier {tiers[-1].value!r} at least, and none works here ({listed}). "
        "Use Linux 5.13 or later with Landlock in its list of LSMs, in a container whose seccomp profile allows it "
        "(Docker's does since 20.10.10), or run programs on another machine by a remote executor"
    )


def base_python() -> str:
    """This interpreter, without its virtual environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _name(tier: Tier, gives_uids: bool) -> str:
    return f"not {tier.value}" + (" with a uid a program" if gives_uids else "")


def _ways(tiers: Sequence[Tier], prefix: Path, problems: dict[str, str]) -> Iterator[tuple[Tier, bool]]:
    """The tiers, each with and without a uid a program, where there is a choice."""
    hidden = _hidden_by(prefix)
    for tier in tiers:
        if os.geteuid() == 0:
            # In namespaces the interpreter is shown at the same place, without the folders above it.
            if hidden is None or tier is Tier.NAMESPACES:
                yield tier, True
            else:
                problems[_name(tier, True)] = (
                    f"the interpreter in {prefix} cannot be read by other users: {hidden} is "
                    f"{stat.filemode(hidden.stat().st_mode)}"
                )
        yield tier, False


def _hidden_by(path: Path) -> Path | None:
    """The folder, of those that lead there, that other users may not pass."""
    for folder in reversed([path, *path.parents]):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _prefix_of(python: str) -> Path:
    """Where an interpreter has its library."""
    if python == os.path.realpath(base_python()):
        return Path(sys.base_prefix).resolve()
    ask = "import sys; print(sys.base_prefix)"
    try:
        asked = subprocess.run([python, "-I", "-S", "-c", ask], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(f"{python} is to run Python programs, and does not run itself: {error}") from error
    return Path(asked.stdout.strip()).resolve()


def _readable_of(prefix: Path) -> list[str]:
    """What an interpreter needs to read; all of a prefix of its own, the library of one that it shares."""
    if prefix.is_relative_to("/usr"):
        return []
    if prefix.is_relative_to("/nix/store"):
        return ["/nix/store"]
    return [str(prefix / "bin"), str(prefix / "lib")]


def _probe(zygote: ZygoteProcess, tier: Tier) -> str | None:
    """What is wrong with a zygote that says it works; None where nothing is."""
    source = f"IS_ISOLATED = {tier is not Tier.NONE}\n{_PROBE}"
    try:
        running = RunningProgram(zygote, tier=tier, limits=_PROBE_LIMITS, is_python=True)
        running.send(source_frame(source, is_whole=True), time.monotonic() + _PROBE_LIMITS.wall_s)
        running.expect_ready(time.monotonic() + _PROBE_LIMITS.wall_s)
        finished = running.wait(time.monotonic() + _PROBE_LIMITS.wall_s)
    except (OSError, SandboxError) as error:
        return f"no program can be started: {error}"
    if finished.stdout.strip() == b"isolated":
        return None
    said = (finished.stdout or finished.stderr).decode("utf-8", "replace").strip()
    return f"a program that was to find no gap ended otherwise: {said[-300:] or finished.note or finished}"
