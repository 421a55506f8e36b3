"""What a program sees of the file system and of other processes, by Landlock.

What arrives: the folders to read and the one to write. What leaves: a ruleset's descriptor, made once, that any fork
can confine itself by. Everything that the running kernel can forbid is forbidden: files by all rights of its version,
TCP since 4, abstract sockets and signals to strangers since 6. Looking at names and sizes (stat) it never can.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from rayreward.sandbox.inside import kernel
from rayreward.sandbox.inside.seccomp import number

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1, 2, 4, 8, 16, 32
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = 64, 128, 256, 512, 1024, 2048, 4096
_REFER, _TRUNCATE, _IOCTL_DEV = 8192, 16384, 32768

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OWN = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_OF_FILES = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV

_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

_ADD_PATH = 1


def version() -> int:
    """Landlock's version in this kernel; 0 where it is absent, switched off or forbidden."""
    try:
        return kernel.syscall(number("landlock_create_ruleset"), 0, 0, 1)
    except OSError:
        return 0


def has_signal_scope(found: int) -> bool:
    """Whether that version keeps signals from strangers."""
    return found >= 6


def _file_rights(found: int) -> int:
    rights = (1 << 13) - 1
    if found >= 2:
        rights |= _REFER
    if found >= 3:
        rights |= _TRUNCATE
    if found >= 5:
        rights |= _IOCTL_DEV
    return rights


def make_ruleset(found: int, *, read: Iterable[str], own: str) -> int:
    """A ruleset: `read` may be read and executed, `own` may be changed as well; returns its descriptor."""
    handled = _file_rights(found)
    attributes = struct.pack(
        "=QQQ", handled,
        _BIND_TCP | _CONNECT_TCP if found >= 4 else 0,
        _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if found >= 6 else 0,
    )  # fmt: skip
    size = 24 if found >= 6 else 16 if found >= 4 else 8
    ruleset = kernel.syscall(number("landlock_create_ruleset"), ctypes.create_string_buffer(attributes, 24), size, 0)
    for path in read:
        _allow(ruleset, path, _READ & handled)
    _allow(ruleset, "/dev/null", (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled)
    for device in ("/dev/urandom", "/dev/random"):
        _allow(ruleset, device, _READ_FILE & handled)
    _allow(ruleset, own, _OWN & handled)
    return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine, or not for this user: then there is nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        kernel.syscall(number("landlock_add_rule"), ruleset, _ADD_PATH, rule, 0)
    finally:
        os.close(place)


def restrict(ruleset: int) -> None:
    """Confine this process, and all that it starts, by the ruleset."""
    kernel.syscall(number("landlock_restrict_self"), ruleset, 0)
