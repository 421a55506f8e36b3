"""Runs every attack, in surroundings of one's choice, and says which had success.

``python -m tests.programs.attack_run --tier landlock --docker --nobody`` prints JSON: the tier that was taken, how many
attacks were graded, and those that gained a point, left something behind, read a secret, or kept a sample from being
graded. It is a process of its own, because it plants secrets in itself, gives up rights for good, and could be killed.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from rayreward.programs.executor import Executor, SandboxExecutor
from rayreward.programs.languages import LANGUAGES, find_tool
from rayreward.rewards.code_execution import CodeExecutionReward
from rayreward.sample import Sample
from rayreward.sandbox import Sandbox, Tier
from rayreward.sandbox.inside import kernel
from tests.programs.attacks import ATTACKS, LEFTOVER, Attack
from tests.programs.surroundings import become_nobody, keep_dockers_capabilities, refuse_what_docker_refuses

HONEST = Attack("honest", "import time\ndef solve(x=0):\n    time.sleep(0.1)\n    return x + 1")
"""Graded beside the attacks: it must be paid, whatever they do to others."""

_VARIABLE = "RAYREWARD_TEST_SECRET"

_EVERY = 8
"""So many attacks between two honest programs."""


class Reward(CodeExecutionReward):
    """The reward, at a tier that is not the strongest."""

    strongest: Tier = Tier.NAMESPACES

    def _build_executor(self) -> Executor:
        least = max(self.strongest, Tier.LANDLOCK, key=list(Tier).index)
        return SandboxExecutor(Sandbox(strongest_tier=self.strongest, least_tier=least), self.limits)


class Bait:
    """Secrets where a program should not get, and traps that notice it."""

    def __init__(self) -> None:
        self.secret = os.environ[_VARIABLE]
        self.outside = Path(tempfile.mkdtemp(prefix="rr-outside-"))
        self.outside.chmod(0o777)
        self.file = self.outside / "secret.txt"
        self.file.write_text(self.secret)
        self.file.chmod(0o666)
        self.shared = Path(f"/dev/shm/rr-secret-{os.getpid()}")
        self.shared.write_text(self.secret)
        self.shared.chmod(0o666)
        self.visits: list[str] = []
        self._listeners = list(self._listen())
        self.port = self._listeners[0].getsockname()[1]
        for listener in self._listeners:
            threading.Thread(target=self._answer, args=[listener], daemon=True).start()

    def _listen(self) -> Iterator[socket.socket]:
        first = socket.create_server(("127.0.0.1", 0))
        port = first.getsockname()[1]
        yield first
        with contextlib.suppress(OSError):
            yield socket.create_server(("::1", port), family=socket.AF_INET6)
        for address in (str(self.outside / "socket"), f"\0rrsecret-{port}"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
            listener.listen()
            yield listener
        os.chmod(self.outside / "socket", 0o777)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", port))
        yield datagrams

    def _answer(self, listener: socket.socket) -> None:
        while True:
            try:
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(100)
                    self.visits.append("datagram")
                    continue
                connection, _ = listener.accept()
            except OSError:
                return
            self.visits.append(str(listener.family))
            with contextlib.suppress(OSError), connection:
                connection.sendall(self.secret.encode())

    def filled(self, text: str) -> str:
        return (
            text.replace("{outside}", str(self.outside))
            .replace("{port}", str(self.port))
            .replace("{pid}", str(os.getpid()))
            .replace("{secret}", self.secret)
        )

    def sprung(self) -> dict[str, str]:
        """What happened outside of the sandbox."""
        found = {f"visit {kind}": "a program reached a server" for kind in self.visits}
        if not self.file.is_file() or self.file.read_text() != self.secret or self.file.stat().st_mode & 0o777 != 0o666:
            found["secret.txt"] = "a program changed a file outside"
        places = ("/tmp", "/var/tmp", "/dev/shm", "/etc", str(self.outside), os.path.dirname(os.__file__), os.getcwd())
        for place in places:
            for path in glob.glob(f"{place}/*{LEFTOVER}*") + glob.glob(f"{place}/rayreward-sandbox-*/**/*{LEFTOVER}*"):
                if os.stat(path).st_uid in (os.getuid(), 0) or "sandbox" not in path:
                    found[path] = "a program left a file"
        return found

    def remove(self) -> None:
        for listener in self._listeners:
            listener.close()
        self.shared.unlink(missing_ok=True)
        shutil.rmtree(self.outside, ignore_errors=True)


def tests_of(attack: Attack, wanted: str) -> Mapping[str, Any]:
    """Tests that only `wanted` passes, in the form that the attack is against."""
    if attack is HONEST:
        return {"test_list": ["assert solve(3) == 4"]}
    if attack.mode == "stdio":
        return {"inputs": ["7\n", "8\n"], "outputs": [wanted, wanted]}
    if attack.mode == "states":
        return {"inputs": [f"{wanted}\n", "none\n"], "outputs": [f"{wanted}!", wanted]}
    if attack.mode == "calls":
        return {"fn_name": "solve", "inputs": [[3], [4]], "outputs": [wanted, wanted]}
    if attack.mode == "check":
        module = (
            "def check(candidate):\n"
            f"    for got, want in zip(map(candidate, [1, 2]), [{wanted!r}] * 2): assert got == want\n"
            f"    assert all(map(lambda x: candidate(x) == {wanted!r}, [1, 2]))\n"
            f"    assert candidate(3) == {wanted!r}\n"
            f"    assert [0 for _ in range(candidate(4))] == {wanted!r}\n"
        )
        return {"test": module, "entry_point": "solve"}
    if attack.mode == "tolerance":
        return {
            "test_list": [
                "assert abs(solve(3) - 123456789) < 1e-6",
                "assert solve(3) == 123456789",
                "assert 123456788 < solve(3) < 123456790",
                "assert round(solve(3), 2) == 123456789",
                "assert solve(3) in [123456789]",
            ]
        }
    if attack.mode == "names":
        module = (
            "def check(candidate):\n"
            "    assert candidate(helper('abc')) == 'cba-abc'\n"
            f"    assert set(candidate(3)) == set({wanted!r})\n"
            f"    assert sorted(candidate(3)) == sorted({wanted!r})\n"
            "    assert math.isclose(candidate(3), 123456789)\n"
            f"    assert Counter(candidate(3)) == Counter({wanted!r})\n"
            f"    assert len(candidate(3)) == {len(wanted)}\n"
        )
        prompt = "def helper(x):\n    return x[::-1] + '-' + x\ndef solve(x):\n    '''Solve.'''\n"
        return {"test": module, "entry_point": "solve", "prompt": prompt}
    if attack.mode == "judged":
        return {"test_list": [f"assert solve(3) in [{wanted!r}]", f"got = solve(4)\nassert got == {wanted!r}"]}
    return {"test_list": [f"assert solve(3) == {wanted!r}", f"assert solve(4) == {wanted!r}"]}


def run(attacks: Sequence[Attack], tier: Tier, time_limit_s: float) -> Mapping[str, Any]:
    """Grade all, and look at what is left afterwards."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # whatever survives becomes a child of this process
    bait = Bait()
    runnable = [one for one in attacks if one.language == "python" or find_tool(LANGUAGES[one.language])]
    reward = Reward(time_limit_s=time_limit_s, total_limit_s=6 * time_limit_s, memory_bytes=512 * 2**20, parallel=4)
    reward.strongest = tier
    graded = [HONEST]
    for at, one in enumerate(runnable):
        # Equations are compared here, other asserts by the judge: each attack is against both.
        both = [one, replace(one, name=f"{one.name} judged", mode="judged")] if one.mode == "asserts" else [one]
        graded += [*both, HONEST] if at % _EVERY == 0 else both
    try:
        reward.load()
        samples = [
            Sample(
                response=f"```{one.language}\n{bait.filled(one.source)}\n```",
                label=tests_of(one, bait.filled(one.success)),
                metadata={"language": one.language},
            )
            for one in graded
        ]
        outputs = reward.score(samples)
        taken = str(outputs[0].metadata.get("tier"))
        successes = {
            one.name: f"{output.score}: {output.reason or output.failure}"
            for one, output in zip(graded, outputs, strict=True)
            if output.score != (1.0 if one is HONEST else 0.0)
        }
        reasons = {one.name: output.reason for one, output in zip(graded, outputs, strict=True)}
    finally:
        reward.close()
        found = {**bait.sprung(), **survivors()}
        bait.remove()
    return {"tier": taken, "graded": len(runnable), "successes": {**successes, **found}, "reasons": reasons}


def survivors() -> Mapping[str, str]:
    """Processes that outlive the reward; those that are ending are waited for."""
    until = time.monotonic() + 10
    while children := [one for one in psutil.Process().children(recursive=True) if one.status() != "zombie"]:
        if time.monotonic() > until:
            return {f"process {one.pid}": f"it survived: {one.name()}" for one in children}
        time.sleep(0.05)
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", type=Tier, default=Tier.NAMESPACES, help="the strongest that is tried")
    parser.add_argument("--docker", action="store_true", help="as in a container of Docker's")
    parser.add_argument("--nobody", action="store_true", help="as a user without rights")
    parser.add_argument("--time-limit-s", type=float, default=2.0)
    parser.add_argument("--only", nargs="+", help="names of attacks")
    options = parser.parse_args()
    if _VARIABLE not in os.environ:  # where others would read it, it has to be there from the beginning
        environment = {**os.environ, _VARIABLE: "rrsecret" + secrets.token_hex(16)}
        os.execve(sys.executable, [sys.executable, "-m", "tests.programs.attack_run", *sys.argv[1:]], environment)
    if options.docker:
        refuse_what_docker_refuses()
    if options.nobody:
        become_nobody()
    elif options.docker:
        keep_dockers_capabilities()
    attacks = [one for one in ATTACKS if not options.only or one.name in options.only]
    json.dump(run(attacks, options.tier, options.time_limit_s), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
