"""This process as it would be in a container, where what Docker's default profile refuses is refused."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from rayreward.sandbox.inside import kernel

_DOCKERS_CAPABILITIES = 0xA80425FB
"""What root has in a container of Docker's: no SYS_ADMIN, SYS_PTRACE, SYS_MODULE, NET_ADMIN."""

_NEW_NAMESPACES = 0x7E020000
_REFUSED = (101, 134, 155, 165, 166, 169, 175, 176, 246, 248, 249, 250, 272, 298, 304, 308, 310, 311, 321, 323)
"""ptrace, uselib, pivot_root, mount, umount2, reboot, init_module, delete_module, kexec_load, add_key, request_key,
keyctl, unshare, perf_event_open, open_by_handle_at, setns, process_vm_readv and _writev, bpf, userfaultfd: x86-64."""

_CLONE, _CLONE3 = 56, 435
_LOAD, _RETURN, _IF_EQUAL, _IF_ANY_BIT = 0x20, 0x06, 0x15, 0x45
_EPERM, _ENOSYS, _ALLOWED = 0x50001, 0x50026, 0x7FFF0000


def refuse_what_docker_refuses() -> None:
    """Install a filter like that of Docker's default profile; nothing takes it away again."""
    assert platform.machine() == "x86_64"
    if os.geteuid() != 0:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    program = [(_LOAD, 0, 0, 0)]
    for number in _REFUSED:
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    program += [(_IF_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ENOSYS)]
    program += [
        (_IF_EQUAL, 0, 3, _CLONE),
        (_LOAD, 0, 0, 16),
        (_IF_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOWED),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(code)))
    kernel.syscall(317, 1, 0, header)


def keep_dockers_capabilities() -> None:
    """Be root as in a container."""
    for capability in range(64):
        if not _DOCKERS_CAPABILITIES >> capability & 1:
            try:
                kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
            except OSError:
                break  # beyond the last that this kernel has
    libc = ctypes.CDLL(None, use_errno=True)
    low, high = _DOCKERS_CAPABILITIES & 0xFFFFFFFF, 0
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), data) == 0


def become_nobody() -> None:
    """Be a user without any right, for good."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
