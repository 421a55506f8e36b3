"""Whether a process may be forked, and its fork go on as if it had come so far alone.

What arrives: a process that has loaded what it loads. What leaves: nothing, or what forbids it. What a fork shares is
memory that only it changes, and plain files. A thread, a started process, a socket, an event loop's own descriptors, a
GPU's devices are not copied, or are shared by both sides, who then talk into each other's conversations.
"""

from __future__ import annotations

import os
import signal
import stat
import time
import warnings

_TRIAL_LIMIT_S = 5.0
"""A trial fork that has not ended by then hangs in what libraries do at a fork."""

_HARMLESS_DEVICES = 1
"""The major number of /dev/null, /dev/zero, /dev/urandom."""


def open_descriptors() -> frozenset[int]:
    """What is open now."""
    return frozenset(int(name) for name in os.listdir("/proc/self/fd"))


def what_forbids_forks(known: frozenset[int]) -> str | None:
    """Why this process had better not be forked; None where it may be.

    Args:
        known: descriptors that do no harm.
    """
    return _started_processes() or _foreign_descriptors(known) or _other_threads()


def _started_processes() -> str | None:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return "it has started processes"


def _foreign_descriptors(known: frozenset[int]) -> str | None:
    for descriptor in sorted(open_descriptors() - known):
        try:
            found, what = os.fstat(descriptor), os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # that of the listing itself
            continue
        is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if not is_plain and not (stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == _HARMLESS_DEVICES):
            return f"it has opened {what}"
    return None


def _other_threads() -> str | None:
    """Threads that live through a fork; OpenBLAS, which NumPy brings, ends its own at each."""
    if _count_threads() > 1 and not _has_forked():
        return "a fork of it hangs"
    if (count := _count_threads()) > 1:
        return f"{count - 1} other threads are alive in it"
    return None


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _has_forked() -> bool:
    """Fork once, for what libraries do about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 and later warn of the very threads that are in question
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    end_s = time.monotonic() + _TRIAL_LIMIT_S
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > end_s:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.001)
    return True
