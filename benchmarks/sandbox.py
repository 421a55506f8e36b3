"""CPU of a sandboxed Python program, beside fresh interpreters and a bare fork.

Two programs: one line that reads and prints a number, and a short solution that imports typing and collections as
model-written ones do. Each way runs them one after the other; CPU is that of this process, of the zygote and of every
process that was waited for. The interpreters are the one that the sandbox uses itself, outside of any virtual
environment. The bare fork is of a Python with the same modules that does nothing but leave.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
from measuring import arguments, load, report, spreads, target

from rayreward.errors import SandboxError
from rayreward.sandbox import Sandbox, Tier
from rayreward.sandbox.choosing import base_python

ONE_LINE = "print(int(input()) + 1)"
SOLUTION = """
from collections import Counter
from typing import List

def most_common(words: List[str], count: int) -> List[str]:
    return [word for word, _ in sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))[:count]]

print(int(input()) + len(most_common(["a", "b", "a"] * 50, 1)))
"""
INPUT, OUTPUT = b"41\n", b"42\n"

SANDBOXED_COUNT, SPAWNED_COUNT = 200, 20
"""Programs a round: enough that the zygote's CPU, which is counted in hundredths of a second, is known to 2 %."""

_FORKS = """
import os, sys
import collections, dataclasses, datetime, decimal, fractions, hashlib, json, random, re, statistics, typing
import gc
gc.freeze()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""


def cpu_s() -> float:
    """Of this process, of those that it has waited for, and of the zygotes with theirs."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    for process in psutil.Process().children(recursive=True):
        total += sum(process.cpu_times()[:4])
    return total


def measure(work: Callable[[], None], count: int) -> tuple[float, float]:
    """CPU and wall milliseconds of each."""
    before_s, started_s = cpu_s(), time.perf_counter()
    for _ in range(count):
        work()
    wall_s = time.perf_counter() - started_s
    return (cpu_s() - before_s) / count * 1e3, wall_s / count * 1e3


def sandboxed(sandbox: Sandbox, source: str) -> Callable[[], None]:
    def work() -> None:
        finished = sandbox.run_python(source, INPUT)
        assert finished.stdout == OUTPUT, finished

    return work


def called(sandbox: Sandbox) -> Callable[[], None]:
    def work() -> None:
        with sandbox.open_python("def add(a, b): return a + b") as candidate:
            candidate.call("add", (1, 2), {}, within_s=60.0)

    return work


def spawned(source: str, *flags: str) -> Callable[[], None]:
    command = [os.path.realpath(base_python()), *flags, "-c", source]

    def work() -> None:
        assert subprocess.run(command, input=INPUT, capture_output=True, check=True).stdout == OUTPUT

    return work


def forked_ms() -> float:
    """CPU of a fork that leaves at once; its interpreter's own start is subtracted."""

    def run(count: int) -> float:
        before_s = cpu_s()
        subprocess.run([os.path.realpath(base_python()), "-I", "-S", "-c", _FORKS, str(count)], check=True)
        return cpu_s() - before_s

    return (run(400) - run(0)) / 400 * 1e3


def one_round(sandboxes: dict[str, Sandbox]) -> dict[str, float]:
    found: dict[str, float] = {"bare_fork_cpu_ms": forked_ms()}
    for program, source in (("one_line", ONE_LINE), ("solution", SOLUTION)):
        for name, flags in (("python_I", ["-I"]), ("python_I_S", ["-I", "-S"])):
            found[f"{program}_{name}_cpu_ms"], _ = measure(spawned(source, *flags), SPAWNED_COUNT)
        for tier, sandbox in sandboxes.items():
            cpu_ms, wall_ms = measure(sandboxed(sandbox, source), SANDBOXED_COUNT)
            found |= {f"{program}_{tier}_cpu_ms": cpu_ms, f"{program}_{tier}_wall_ms": wall_ms}
            for name in ("python_I", "python_I_S"):
                found[f"{program}_{name}_to_{tier}"] = found[f"{program}_{name}_cpu_ms"] / cpu_ms
    for tier, sandbox in sandboxes.items():
        found[f"one_call_{tier}_cpu_ms"], _ = measure(called(sandbox), SANDBOXED_COUNT)
    return found


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    sandboxes: dict[str, Sandbox] = {}
    for tier in (Tier.NAMESPACES, Tier.LANDLOCK):
        sandbox = Sandbox(least_tier=tier, strongest_tier=tier)
        try:
            sandbox.start()
        except SandboxError as error:
            print(f"{tier.value}: {error}", file=sys.stderr)
            continue
        sandboxes[tier.value] = sandbox
    rounds = [one_round(sandboxes) for _ in range(asked.rounds)]
    figures = spreads(rounds)
    targets: dict[str, Any] = {}
    for tier in sandboxes:
        for name, factor in (("python_I", 10.0), ("python_I_S", 2.5)):
            key = f"one_line_{name}_to_{tier}"
            targets[key] = target(figures[key]["median"], at_least=factor)
    isolates = {
        tier: {
            what: how for what, how in sandbox.report().items() if "/" not in how or what == "namespaces"
        }  # no paths
        for tier, sandbox in sandboxes.items()
    }
    for sandbox in sandboxes.values():
        sandbox.close()
    result = {"isolates": isolates, "figures": figures, "targets": targets}
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
