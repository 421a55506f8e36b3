"""Processes that are forked from one that is ready, and can be killed: what hangs or explodes costs itself.

What arrives: a function, and arguments. What leaves: one result an argument, in order. It knows no rewards and no event
loop: `workers` runs rewards on it, and a reward may use `ForkPool` for a library that hangs.

    zygote.py   the caller's side: starts the clean process, has it fork, ends what it forked
    server.py   the clean process: forks on request, and nothing else
    fitness.py  whether a process may be forked
    session.py  nothing outlives the caller
    pool.py     `ForkPool`, on the caller's side, with crew.py
    calls.py    … and in its processes
"""

from __future__ import annotations

from rayreward.forking.pool import Answered, Fault, FaultKind, ForkPool

__all__ = ["Answered", "Fault", "FaultKind", "ForkPool"]
