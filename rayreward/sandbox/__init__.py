"""Programs that nobody trusts, run where they can hurt nobody.

What arrives: source text, or a command with its files and input. What leaves: what it returned, printed and ended with,
as plain values. What this promises: a program reads neither this process's memory, environment and files nor another
program's, reaches no network, leaves no file and no process behind, and ends at its deadline. Against a fault of the
kernel itself it does not protect. It needs Linux; neither Ray nor torch is imported.

    sandbox = Sandbox()                                   # refuses what is weaker than Landlock with seccomp
    sandbox.run_python("print(int(input()) + 1)", b"41")  # Finished(ended="exited", exit_code=0, …)
    with sandbox.open_python("def add(a, b): return a + b") as candidate:
        candidate.call("add", (1, 2), {}, within_s=1.0)   # Returned(3)
"""

from rayreward.sandbox.candidate import Candidate
from rayreward.sandbox.inside.codec import Opaque
from rayreward.sandbox.sandbox import Sandbox
from rayreward.sandbox.values import Ended, Finished, Program, Raised, Returned, SandboxLimits, Tier

__all__ = [
    "Candidate", "Ended", "Finished", "Opaque", "Program", "Raised", "Returned", "Sandbox", "SandboxLimits", "Tier",
]  # fmt: skip
