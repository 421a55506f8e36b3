"""The system calls that Python's standard library does not offer, by ctypes.

What arrives: numbers and bytes. What leaves: the call's result, or an `OSError` with its number. Nothing is imported
later than at import of this module, so that a fork can call these without touching a file.
"""

from __future__ import annotations

import ctypes
import os
import platform

MACHINE = platform.machine()

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_get_errno = ctypes.get_errno

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2

_CAP_HEADER = (ctypes.c_uint32 * 2)(0x20080522, 0)
_NO_CAPS = (ctypes.c_uint32 * 6)()
_LAST_CAPABILITY = 63
"""More than any kernel has: dropping one that does not exist fails, and nothing follows."""


def syscall(number: int, *arguments: int | bytes | ctypes._CData | None) -> int:
    """Make a system call by its number.

    Raises:
        OSError: the call failed.
    """
    converted = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *converted)
    if result == -1:
        error = _get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, value: int = 0) -> None:
    """Set an attribute of this process."""
    if _libc.prctl(option, value, 0, 0, 0) == -1:
        error = _get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that are named."""
    if _libc.unshare(ctypes.c_int(flags)) == -1:
        error = _get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount `source` on `target`."""
    options = data.encode() or None
    if _libc.mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options) == -1:
        error = _get_errno()
        raise OSError(error, f"mount {kind or source} on {target}: {os.strerror(error)}")


def detach(target: str) -> None:
    """Unmount what is mounted there, whoever uses it."""
    if _libc.umount2(target.encode(), MNT_DETACH) == -1:
        error = _get_errno()
        raise OSError(error, f"umount {target}: {os.strerror(error)}")


def drop_bounding_set() -> None:
    """Forbid this process and its forks to gain a capability by an exec; those that it has stay."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EPERM where it has none to drop, EINVAL beyond the last


def drop_capabilities() -> None:
    """Give up every capability: without new privileges and with an empty bounding set even uid 0 is nobody."""
    if _libc.capset(_CAP_HEADER, _NO_CAPS) == -1:
        error = _get_errno()
        raise OSError(error, f"capset: {os.strerror(error)}")
