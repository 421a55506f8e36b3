"""A program that has to pass its tests: what goes wrong is shown to the model, which may repair it.

The label holds the tests: Python text with asserts, or a list of such texts. The candidate is the last fenced block of
what the model said. Rewards of its own, for ``rewards: environment``: 1 when all tests pass, else 0.

The candidate runs in a process of its own, with limits of time, memory and file size, in an empty folder, without this
process's environment variables; when its time is over it is killed with all that it started. That keeps accidents
away. It is no sandbox: code that means harm can read the node's files and use its network.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rayreward.agents import Environment, Turn

FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)

LIMITS = """\
import resource, runpy
for name, limit in (("AS", {memory_bytes}), ("CPU", {cpu_s}), ("FSIZE", 2**20), ("CORE", 0)):
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (limit, limit))
runpy.run_path("program.py", run_name="__main__")
"""
"""What the child does before anything else: limits that are set between fork and exec are not safe among threads."""

SHOWN_CHARS = 800
"""Of an error: its end, where the reason is. More would crowd the model's context."""


class CodeRepair(Environment):
    """One programming task.

    Args:
        role: "user" for chat models (the feedback becomes a message of the chat), None for base models.
        timeout_s: of one run; shorter than the job's step_timeout_s.
        memory_bytes: of the program's address space.
    """

    def __init__(self, role: str | None = None, timeout_s: float = 10.0, memory_bytes: int = 2**29) -> None:
        self.role, self.timeout_s, self.memory_bytes = role, timeout_s, memory_bytes
        self.process: subprocess.Popen[bytes] | None = None

    def reset(self, prompt: str, label: Any) -> None:
        """Read the tests."""
        parts = [label] if isinstance(label, str) else label
        if not isinstance(parts, list) or not any("assert" in str(part) for part in parts):
            raise ValueError(f"the label must be tests with asserts, found {label!r:.80}")
        self.tests = "\n".join(map(str, parts))

    def step(self, action: str) -> Turn:
        """Run the candidate against the tests."""
        blocks = FENCE.findall(action)
        if not blocks:
            return self.wrong("There is no program in that. Write it between ```python and ```.")
        error = self.run(blocks[-1])
        if error is None:
            return Turn(done=True, reward=1.0)
        return self.wrong(f"The program fails its tests:\n{error}\nRepair it, and write all of it again.")

    def close(self) -> None:
        """Kill what still runs, and whatever it has started."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def wrong(self, feedback: str) -> Turn:
        """Another try."""
        return Turn(f"\n{feedback}\n", reward=0.0, role=self.role)

    def run(self, program: str) -> str | None:
        """What went wrong, or None."""
        # Only who reaches the end can say this word: a program that exits early has passed nothing.
        passed = secrets.token_hex(16)
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
            text = f"{program}\n{self.tests}\nprint({passed!r})\n"
            Path(folder, "program.py").write_text(text, encoding="utf-8", errors="backslashreplace")
            limits = LIMITS.format(memory_bytes=self.memory_bytes, cpu_s=int(self.timeout_s) + 1)
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", limits],
                cwd=folder,
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            ended = self.wait(self.process)
            said.seek(0)
            output = said.read(2**20).decode("utf-8", "replace").strip()
        if not ended:
            return f"it did not end within {self.timeout_s:g} s"
        if output.endswith(passed):
            return None
        return output.replace(folder, "")[-SHOWN_CHARS:] or "it ended before its tests did"

    def wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it ended in time; nothing of it is left afterwards."""
        try:
            process.wait(self.timeout_s)
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and has left nobody behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
