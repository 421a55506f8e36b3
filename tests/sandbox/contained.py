"""Stands in for a container, or an old kernel: gives up what is missing there, and runs the attacks.

Arguments: a uid to become, a file that holds a secret, the interpreter of candidates, and what is denied. On stdout: a
JSON document that says what became of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys

from rayreward.sandbox import Sandbox, Tier
from rayreward.sandbox.inside import kernel
from rayreward.sandbox.inside.seccomp import number
from tests.sandbox.attacks import ATTACKS, armed

LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, DENY, NO_SUCH_CALL = (RETURN, 0, 0, 0x7FFF0000), (RETURN, 0, 0, 0x50001), (RETURN, 0, 0, 0x50026)

LANDLOCK_CREATE_RULESET = 444
UNSHARE, MOUNT, SETNS, PIVOT_ROOT, CLONE, CLONE3 = 272, 165, 308, 155, 56, 435
NEW_NAMESPACES = 0x7E020000
DOCKER_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}


def deny_namespaces() -> None:
    """What Docker's default seccomp profile says about namespaces, and its default capabilities."""
    if os.geteuid() == 0:
        for capability in set(range(64)) - DOCKER_CAPABILITIES:
            try:
                kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
            except OSError:
                break
        mask = sum(1 << one for one in DOCKER_CAPABILITIES)
        header = struct.pack("=Ii", 0x20080522, 0)
        kernel.syscall(number("capset"), header, struct.pack("=IIIIII", mask, mask, 0, 0, 0, 0))
    install([
        (LOAD, 0, 0, 0),
        *[(IF_EQUAL, 5 - at, 0, call) for at, call in enumerate((UNSHARE, MOUNT, SETNS, PIVOT_ROOT))],
        (IF_EQUAL, 0, 2, CLONE3), NO_SUCH_CALL, DENY,
        (IF_EQUAL, 0, 3, CLONE), (LOAD, 0, 0, 16), (IF_ANY_BIT, 0, 1, NEW_NAMESPACES), DENY, ALLOW,
    ])  # fmt: skip


def deny_landlock() -> None:
    """A kernel that has none."""
    install([(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, LANDLOCK_CREATE_RULESET), NO_SUCH_CALL, ALLOW])


def install(program: list[tuple[int, int, int, int]]) -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    filter_header = struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(code))
    kernel.syscall(number("seccomp"), 1, 0, filter_header)


def main() -> None:
    uid, secret_file, python = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    {"namespaces": deny_namespaces, "landlock": deny_landlock, "nothing": lambda: None}[sys.argv[4]]()
    os.environ["RAYREWARD_TEST_SECRET"] = "in the parent's environment"
    with Sandbox(least_tier=Tier.LANDLOCK, python=python) as sandbox:
        finished = {name: sandbox.run_python(armed(name, secret_file, os.getpid()), b"") for name in ATTACKS}
        sum_of_two = sandbox.run_python("print(int(input()) + 1)", b"41").stdout.decode()
        report = dict(sandbox.report())
    escaped = {name: one.stdout.decode("utf-8", "replace") for name, one in finished.items() if b"ESC" in one.stdout}
    json.dump({"escaped": escaped, "report": report, "works": sum_of_two}, sys.stdout)


if __name__ == "__main__":
    main()
