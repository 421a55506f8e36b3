"""A machine of its own for the zygote: users, processes, network, IPC, host name, and a file system.

What arrives: what programs may read. What leaves: a process that is number 1 of its namespace, whose root holds those
folders, read-only, a few devices, and `/tmp` with mount points for the programs' private folders; nothing else of the
machine can be named from there. Works as root with CAP_SYS_ADMIN, and as anybody where user namespaces are allowed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from collections.abc import Iterable

from rayreward.sandbox.inside import kernel
from rayreward.sandbox.inside.seccomp import number

_OWN = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)  # fmt: skip

_INNER_ID = 1000
"""What the one user of an unprivileged namespace is called within."""

_READ_ONLY = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV

_DEVICES = ("/dev/null", "/dev/urandom", "/dev/random")
_LINKS = {
    "/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}  # fmt: skip

_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100


def enter() -> bool:
    """Move into new namespaces; whether it took a user namespace to do so.

    The caller goes on as the first process of them; the one that was called waits for it and ends as it does.

    Raises:
        OSError: the kernel, or what contains this process, does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    is_user_namespace = False
    try:
        if user != 0:
            raise PermissionError
        kernel.unshare(_OWN)
    except PermissionError:
        kernel.unshare(_OWN | kernel.CLONE_NEWUSER)
        is_user_namespace = True
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{_INNER_ID} {user} 1")
        _write("/proc/self/gid_map", f"{_INNER_ID} {group} 1")
    first = os.fork()
    if first:
        _wait_for(first)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    return is_user_namespace


def _wait_for(child: int) -> None:
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    status = os.waitpid(child, 0)[1]
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def make_root(folder: str, read: Iterable[str], slot_count: int) -> bool:
    """Make the file system, with `folder` as the place to build it, and move into it; whether it has a /proc."""
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=20k,mode=755")
    for path in read:
        _show(path, folder)
    for device in _DEVICES:
        _show_device(device, folder)
    for link, target in _LINKS.items():
        os.symlink(target, folder + link)
    for at in range(slot_count):
        os.makedirs(f"{folder}/tmp/{at}")
    os.makedirs(f"{folder}/proc", exist_ok=True)
    has_processes = _mount_processes(f"{folder}/proc")
    os.chdir(folder)
    kernel.syscall(number("pivot_root"), b".", b".")
    kernel.detach(".")
    os.chdir("/")
    kernel.mount("", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY)
    return has_processes


def mount_slot(path: str, size_bytes: int) -> None:
    """Give a slot a file system of its own, which can hold no more than `size_bytes`."""
    options = f"size={size_bytes},nr_inodes=10k,mode=700"
    kernel.mount("tmpfs", path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def resize_slot(path: str, size_bytes: int) -> None:
    """Change how much a slot can hold; what is in it stays."""
    kernel.mount("tmpfs", path, "tmpfs", kernel.MS_REMOUNT | kernel.MS_NOSUID | kernel.MS_NODEV, f"size={size_bytes}")


def hide_other_slots(path: str) -> None:
    """Show this fork nothing of /tmp but its own folder: for kernels that have no Landlock."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(path, "/tmp", "", kernel.MS_BIND)
    with contextlib.suppress(OSError):  # there may be none
        kernel.detach("/proc")  # where others of the same uid could be looked into


def _show(path: str, folder: str) -> None:
    """Make what lies at `path` readable there too; links on the way to it stay links."""
    target = folder + path
    if os.path.lexists(target) or not os.path.lexists(path):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.mkdir(target)
    else:
        _write(target, "")
    kernel.mount(path, target, "", kernel.MS_BIND | kernel.MS_REC)
    _make_read_only(target)


def _make_read_only(target: str) -> None:
    try:
        attributes = struct.pack("=QQQQ", _READ_ONLY, 0, 0, 0)
        kernel.syscall(number("mount_setattr"), _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes))
    except OSError:  # Linux before 5.12: the mount itself, without those that lie in it
        kept = os.statvfs(target).f_flag & (kernel.MS_NOEXEC | 0x1C00)  # noatime, nodiratime, relatime
        kernel.mount("", target, "", kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY | kept)


def _show_device(device: str, folder: str) -> None:
    os.makedirs(os.path.dirname(folder + device), exist_ok=True)
    _write(folder + device, "")
    kernel.mount(device, folder + device, "", kernel.MS_BIND)


def _mount_processes(path: str) -> bool:
    for options in ("subset=pid", ""):
        try:
            kernel.mount("proc", path, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, options)
            return True
        except OSError:
            continue  # Docker hides parts of /proc, and the kernel then shows none of it to namespaces within
    return False


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
