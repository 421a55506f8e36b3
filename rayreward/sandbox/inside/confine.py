"""A fork of the zygote gives up all that it has, step by step, before the first line of a program runs.

What arrives: a slot (a private folder, a uid, a Landlock ruleset, filters) and limits. What leaves: a process that can
no longer do anything else than the program may. Every step either works or ends the process.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import struct
from dataclasses import dataclass
from typing import NamedTuple

from rayreward.sandbox.inside import kernel, landlock, namespaces
from rayreward.sandbox.inside.seccomp import Filter, number
from rayreward.sandbox.inside.slots import Slot

CONNECTION = 3
"""The descriptor by which a program's process talks to who asked for it."""

MAX_THREADS = 64
"""Of all processes of a program together, beyond one a process; node starts eleven."""

_STACK_BYTES = 64 << 20
_DESCRIPTORS = 256


class Limits(NamedTuple):
    """`rayreward.sandbox.SandboxLimits`, as far as the kernel keeps them, and what kind of program it is."""

    is_python: bool
    cpu_s: float
    memory_bytes: int
    largest_file_bytes: int
    folder_bytes: int
    process_count: int
    wanted_count: int


LIMITS = struct.Struct("<?dQQQII")
"""How they travel."""


@dataclass(frozen=True)
class Means:
    """What the zygote found to isolate by.

    Attributes:
        filters: by (is_python, may_fork); none at tier "none".
        hides_slots: whether mounts must do what Landlock cannot here.
    """

    filters: dict[tuple[bool, bool], Filter]
    has_capabilities: bool
    hides_slots: bool


def confine(means: Means, slot: Slot, limits: Limits, descriptors: list[int], zygote: int) -> str:
    """Confine this process; `descriptors` become 0, 1, 2 and `CONNECTION`. Returns its private folder."""
    os.setsid()
    folder = slot.path
    if means.hides_slots:
        namespaces.hide_other_slots(slot.path)
        folder = "/tmp"
    os.chdir(folder)
    _renumber(descriptors, slot.ruleset)
    os.umask(0o077)
    _limit(limits, has_own_uid=slot.uid is not None)
    if slot.uid is not None:
        os.setgroups([])
        os.setresgid(slot.uid, slot.uid, slot.uid)
        os.setresuid(slot.uid, slot.uid, slot.uid)
    elif means.has_capabilities:
        kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of the uid would undo it
    if os.getppid() != zygote:
        os._exit(1)  # it ended before it could take this process along
    if slot.ruleset >= 0:
        landlock.restrict(CONNECTION + 1)
        os.close(CONNECTION + 1)
    if means.filters:
        means.filters[limits.is_python, limits.process_count > 0].install(os.getpid())
    return folder


def reserve_descriptors(control: int) -> int:
    """Occupy, in the zygote, the numbers that programs will use, so that moving one there never closes another.

    Returns:
        The control socket's new number, above them.
    """
    copies = [control]
    while copies[-1] <= CONNECTION + 1:
        copies.append(os.dup(control))
    nothing = os.open(os.devnull, os.O_RDWR)
    for at in (CONNECTION, CONNECTION + 1):
        os.dup2(nothing, at)
    for one in (nothing, *copies[:-1]):
        if one > CONNECTION + 1:
            os.close(one)
    return copies[-1]


def warm_up() -> None:
    """Run what every fork runs, as far as it changes nothing, so that its pages are written to in the zygote."""
    for _ in range(20):
        kernel.syscall(number("getpid"))
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _renumber(descriptors: list[int], ruleset: int) -> None:
    """Keep the program's own descriptors and the ruleset, at fixed numbers, and close all others."""
    wanted = [*descriptors, ruleset] if ruleset >= 0 else descriptors
    for at, one in enumerate(wanted):  # all of them are above: see reserve_descriptors
        os.dup2(one, at, at < CONNECTION)
    try:
        kernel.syscall(number("close_range"), len(wanted), 0xFFFFFFFF, 0)
    except OSError:  # Linux before 5.9
        os.closerange(len(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit(limits: Limits, *, has_own_uid: bool) -> None:
    cpu_s = max(1, math.ceil(limits.cpu_s))
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    _lower(resource.RLIMIT_FSIZE, limits.largest_file_bytes, limits.largest_file_bytes)
    _lower(resource.RLIMIT_NOFILE, _DESCRIPTORS, _DESCRIPTORS)
    _lower(resource.RLIMIT_MEMLOCK, 0, 0)
    _lower(resource.RLIMIT_STACK, _STACK_BYTES, _STACK_BYTES)
    # Node and others reserve far more addresses than they use, so theirs are not counted; what they may write to is.
    memory = resource.RLIMIT_AS if limits.is_python else resource.RLIMIT_DATA
    _lower(memory, limits.memory_bytes, limits.memory_bytes)
    if has_own_uid:  # else the count is of all that the user runs, anywhere
        count = MAX_THREADS + limits.process_count
        _lower(resource.RLIMIT_NPROC, count, count)


_ALLOWED = {which: resource.getrlimit(which)[1] for which in range(resource.RLIMIT_AS + 1)}
"""The hard limits of the zygote, which a fork can only lower."""


def _lower(which: int, soft: int, hard: int) -> None:
    allowed = _ALLOWED[which]
    if allowed != resource.RLIM_INFINITY and allowed < hard:
        soft, hard = min(soft, allowed), allowed
    resource.setrlimit(which, (soft, hard))
