"""Which system calls a program may make: an allow-list, as a BPF program written by hand.

What arrives: what kind of program it will be. What leaves: a filter that the kernel keeps until the process ends. What
is not named here fails with EPERM, and calls by another architecture's numbers (x32, int 0x80) kill. There is no
socket, ptrace, mount, namespace, keyring, BPF or io_uring in it, and what reaches other processes by their number
(signals, limits, SIGIO) reaches none but the caller's own.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass

from rayreward.sandbox.inside import kernel

# name: (x86_64, aarch64)
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "close": (3, 57), "close_range": (436, 436),
    "lseek": (8, 62), "fsync": (74, 82), "fdatasync": (75, 83), "ftruncate": (77, 46), "fallocate": (285, 47),
    "fadvise64": (221, 223), "openat": (257, 56), "open": (2, None), "creat": (85, None), "stat": (4, None),
    "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78),
    "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "getdents": (78, None), "getdents64": (217, 61), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "fcntl": (72, 25), "ioctl": (16, 29), "flock": (73, 32), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd": (284, None), "eventfd2": (290, 19), "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86), "timerfd_gettime": (287, 87), "signalfd4": (289, 74), "umask": (95, 166),
    "statfs": (137, 43), "fstatfs": (138, 44), "copy_file_range": (326, 285), "sendfile": (40, 71), "mmap": (9, 222),
    "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "msync": (26, 227), "mincore": (27, 232), "membarrier": (324, 283), "exit": (60, 93), "exit_group": (231, 94),
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getresuid": (118, 148),
    "getresgid": (120, 150), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "uname": (63, 160),
    "sysinfo": (99, 179), "times": (100, 153), "getrusage": (98, 165), "getrlimit": (97, 163),
    "setrlimit": (160, 164), "prlimit64": (302, 261), "getpriority": (140, 141), "getcpu": (309, 168),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "set_tid_address": (218, 96), "set_robust_list": (273, 99), "rseq": (334, 293), "arch_prctl": (158, None),
    "prctl": (157, 167), "clone": (56, 220), "wait4": (61, 260), "waitid": (247, 95), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102), "restart_syscall": (219, 128),
    "kill": (62, 129), "tgkill": (234, 131), "timer_create": (222, 107), "timer_settime": (223, 110),
    "timer_gettime": (224, 108), "timer_getoverrun": (225, 109), "timer_delete": (226, 111),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "futex": (202, 98), "getrandom": (318, 278),
    "socketpair": (53, 199), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "shutdown": (48, 210), "getsockopt": (55, 209), "getsockname": (51, 204), "getpeername": (52, 205),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "utimensat": (280, 88),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "truncate": (76, 45), "fork": (57, None),
    "vfork": (58, None), "execve": (59, 221), "clone3": (435, 435), "openat2": (437, 437), "memfd_create": (319, 279),
    "io_uring_setup": (425, 425), "seccomp": (317, 277), "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446), "pivot_root": (155, 41),
    "mount_setattr": (442, 442), "capset": (126, 91),
    "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10),
    "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
}  # fmt: skip
"""Those that are allowed to somebody, and those that this package makes itself."""

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7
"""AUDIT_ARCH of the two."""

_X32_BIT = 0x40000000

_PLAIN = (
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "close", "close_range", "lseek",
    "fsync", "fdatasync", "ftruncate", "fallocate", "fadvise64", "stat", "lstat", "fstat", "newfstatat", "statx",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "chdir", "fchdir", "mkdir", "mkdirat",
    "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "getdents", "getdents64", "dup", "dup2", "dup3", "flock", "pipe", "pipe2", "poll", "ppoll", "select", "pselect6",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4", "umask", "statfs", "fstatfs",
    "copy_file_range", "sendfile", "munmap", "mprotect", "mremap", "madvise", "brk", "msync", "mincore", "membarrier",
    "creat", "exit", "exit_group", "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
    "getgroups", "getresuid", "getresgid", "getpgrp", "getpgid", "getsid", "uname", "sysinfo", "times", "getrusage",
    "getrlimit", "setrlimit", "getpriority", "getcpu", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "set_tid_address", "set_robust_list",
    "rseq", "arch_prctl", "wait4", "waitid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack", "pause", "alarm", "setitimer", "getitimer", "restart_syscall",
    "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "clock_gettime",
    "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "futex", "getrandom", "recvfrom",
    "sendmsg", "recvmsg", "shutdown", "getsockopt", "getsockname", "getpeername",
)  # fmt: skip
"""Allowed to all, whatever the arguments."""

_OF_OWN_FILES = ("chmod", "fchmod", "fchmodat", "fchmodat2", "utimensat", "utime", "utimes", "futimesat", "truncate")
"""Landlock does not see these: allowed only where every file that they could touch is the program's own."""

_ABSENT = ("clone3", "openat2", "memfd_create", "io_uring_setup")
"""ENOSYS, for which libraries have another way: their arguments lie in memory, where a filter cannot read them."""

_UNSUPPORTED = ("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr")
"""ENOTSUP, as on a file system without extended attributes: `ls` asks for them."""

_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ (isatty), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""

_PRCTLS = (3, 15, 16, 39, 0x53564D41)
"""GET_DUMPABLE, SET_NAME, GET_NAME, GET_NO_NEW_PRIVS, SET_VMA."""

_FCNTLS_REFUSED = (8, 10, 15, 1031)
"""SETOWN, SETSIG and SETOWN_EX send any signal to any process of the user; SETPIPE_SZ takes the kernel's memory."""

_CLONE_THREAD = 0x10000
_CLONE_REFUSED = 0x7E02A000
"""New namespaces, CLONE_PTRACE, CLONE_PARENT (its parent would be the zygote)."""

_O_ACCMODE, _O_TRUNC = 3, 0x200
_MAP_SHARED, _MAP_ANONYMOUS = 1, 0x20
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 1, 1, 0xF

# Instructions: (code, jump if true, jump if false, constant).
_Instruction = tuple[int, int, int, int]
_LOAD, _AND, _RETURN, _JUMP, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x20, 0x54, 0x06, 0x05, 0x15, 0x35, 0x45
_ALLOW, _KILL = (_RETURN, 0, 0, 0x7FFF0000), (_RETURN, 0, 0, 0x80000000)
_DENY = (_RETURN, 0, 0, 0x50000 | errno.EPERM)
_NO_SUCH_CALL = (_RETURN, 0, 0, 0x50000 | errno.ENOSYS)
_NOT_SUPPORTED = (_RETURN, 0, 0, 0x50000 | errno.ENOTSUP)
_NO_TERMINAL = (_RETURN, 0, 0, 0x50000 | errno.ENOTTY)
_OWN_PID = 0x7FFFFFF1
"""Stands for the process's number until it is known."""


@dataclass(frozen=True)
class Rules:
    """What a filter depends on.

    Attributes:
        may_execute: a command, not a Python candidate.
        may_fork: it may start processes.
        may_signal: signals reach no stranger anyway (Landlock's scope, a uid of its own).
        owns_files: every file that it sees and that its uid owns is its own.
    """

    may_execute: bool
    may_fork: bool
    may_signal: bool
    owns_files: bool


def is_supported() -> bool:
    """Whether this machine's numbers are known."""
    return kernel.MACHINE in ("x86_64", "aarch64")


def number(name: str) -> int:
    """A system call's number here."""
    found = _NUMBERS[name][kernel.MACHINE == "aarch64"]
    if found is None:
        raise OSError(errno.ENOSYS, f"{name} does not exist on {kernel.MACHINE}")
    return found


class Filter:
    """A filter, ready to be installed by forks of this process."""

    def __init__(self, rules: Rules) -> None:
        program = build(rules)
        self._bytes = bytearray(b"".join(struct.pack("=HBBI", *one) for one in program))
        self._holes = [at * 8 + 4 for at, one in enumerate(program) if one[3] == _OWN_PID]
        self._buffer = (ctypes.c_char * len(self._bytes)).from_buffer(self._bytes)
        address = ctypes.addressof(self._buffer)
        self._header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program), address))
        self._call = number("seccomp")

    def install(self, pid: int) -> None:
        """Install it in this process, whose number is `pid`, which must have no_new_privs."""
        for hole in self._holes:
            struct.pack_into("=I", self._bytes, hole, pid)
        kernel.syscall(self._call, 1, 0, self._header)


def build(rules: Rules) -> list[_Instruction]:
    """The filter's instructions: the architecture, then a binary search for the call's number."""
    leaves = _leaves(rules)
    # Where the answer changes: neighbouring numbers with the same one are an interval, and what is not named is denied.
    intervals: list[tuple[int, list[_Instruction]]] = []
    for at in range(max(leaves) + 2):
        answer = leaves.get(at, [_DENY])
        if not intervals or intervals[-1][1] != answer:
            intervals.append((at, answer))
    architecture = _AARCH64 if kernel.MACHINE == "aarch64" else _X86_64
    head = [
        (_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, architecture), _KILL,
        (_LOAD, 0, 0, 0), (_IF_AT_LEAST, 0, 1, _X32_BIT), _KILL,
    ]  # fmt: skip
    return head + _search(intervals)


def _search(intervals: list[tuple[int, list[_Instruction]]]) -> list[_Instruction]:
    if len(intervals) == 1:
        return intervals[0][1]
    middle = len(intervals) // 2
    below, above = _search(intervals[:middle]), _search(intervals[middle:])
    return [(_IF_AT_LEAST, 0, 1, intervals[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _leaves(rules: Rules) -> dict[int, list[_Instruction]]:
    named: dict[str, list[_Instruction]] = {name: [_ALLOW] for name in _PLAIN}
    named |= {name: [_NO_SUCH_CALL] for name in _ABSENT}
    named |= {name: [_NOT_SUPPORTED] for name in _UNSUPPORTED}
    if rules.owns_files:
        named |= {name: [_ALLOW] for name in _OF_OWN_FILES}
    if rules.may_execute:
        named["execve"] = [_ALLOW]
    if rules.may_fork:
        named |= {"fork": [_ALLOW], "vfork": [_ALLOW]}
    of_itself = [(_LOAD, 0, 0, 16), (_IF_EQUAL, 0, 1, _OWN_PID), _ALLOW, _DENY]
    in_group = [(_LOAD, 0, 0, 16), (_IF_EQUAL, 1, 0, _OWN_PID), (_IF_EQUAL, 0, 1, 0), _ALLOW, _DENY]
    is_free = rules.may_signal and rules.may_fork  # a single process has nobody to signal but itself
    named["kill"] = [_ALLOW] if is_free else in_group
    named["tgkill"] = [_ALLOW] if is_free else of_itself
    named["prlimit64"] = in_group  # 0 is the caller
    named["clone"] = _clone(rules)
    named["openat"], named["open"] = _open(2), _open(1)
    named["mmap"] = _mmap()
    named["ioctl"] = _one_of(1, _IOCTLS, otherwise=_NO_TERMINAL)
    named["prctl"] = _one_of(0, _PRCTLS, otherwise=_DENY)
    named["fcntl"] = _none_of(1, _FCNTLS_REFUSED)
    named["socketpair"] = [
        *_load(0), (_IF_EQUAL, 0, 3, _AF_UNIX), *_load(1), (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_IF_EQUAL, 1, 0, _SOCK_STREAM), _DENY, _ALLOW,
    ]  # fmt: skip
    named["sendto"] = [
        *_load(4),
        (_IF_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, 16 + 8 * 4 + 4),
        (_IF_EQUAL, 1, 0, 0),
        _DENY,
        _ALLOW,
    ]
    numbers = {name: _NUMBERS[name][kernel.MACHINE == "aarch64"] for name in named}
    return {found: named[name] for name, found in numbers.items() if found is not None}


def _load(argument: int) -> list[_Instruction]:
    """The lower half of an argument: all that the kernel looks at in an int."""
    return [(_LOAD, 0, 0, 16 + 8 * argument)]


def _one_of(argument: int, values: tuple[int, ...], *, otherwise: _Instruction) -> list[_Instruction]:
    count = len(values)
    tests = [(_IF_EQUAL, count - at, 0, value) for at, value in enumerate(values)]
    return [*_load(argument), *tests, otherwise, _ALLOW]


def _none_of(argument: int, values: tuple[int, ...]) -> list[_Instruction]:
    count = len(values)
    tests = [(_IF_EQUAL, count - at, 0, value) for at, value in enumerate(values)]
    return [*_load(argument), *tests, _ALLOW, _DENY]


def _clone(rules: Rules) -> list[_Instruction]:
    refused = [*_load(0), (_IF_ANY_BIT, 0, 1, _CLONE_REFUSED), _DENY]
    if rules.may_fork:
        return [*refused, _ALLOW]
    return [*refused, (_IF_ANY_BIT, 1, 0, _CLONE_THREAD), _DENY, _ALLOW]


def _open(argument: int) -> list[_Instruction]:
    """Old Landlocks do not see that O_TRUNC empties a file that is opened for reading."""
    return [
        *_load(argument), (_AND, 0, 0, _O_ACCMODE | _O_TRUNC), (_IF_EQUAL, 0, 1, _O_TRUNC), _DENY, _ALLOW,
    ]  # fmt: skip


def _mmap() -> list[_Instruction]:
    """Shared anonymous memory is in no rlimit but the address space, which other programs than Python's do not have."""
    both = _MAP_SHARED | _MAP_ANONYMOUS
    return [*_load(3), (_AND, 0, 0, both), (_IF_EQUAL, 0, 1, both), _DENY, _ALLOW]
