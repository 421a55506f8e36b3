from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayreward.sandbox import Program, Sandbox, SandboxLimits, Tier
from tests.sandbox.attacks import ATTACKS, armed
from tests.sandbox.conftest import processes

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks' numbers are x86_64's")

SECRET = "the expected value is 42"


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("tests") / "expected.txt"
    path.write_text(SECRET)
    path.chmod(0o666)
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o777)
    before = path.stat()
    yield path
    after = path.stat()
    assert path.read_text() == SECRET
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_program_gets_out(sandbox: Sandbox, secret_file: Path, name: str) -> None:
    finished = sandbox.run_python(armed(name, secret_file, os.getpid()), b"")
    assert b"ESCAPED" not in finished.stdout
    assert finished.ended in ("exited", "killed"), finished


def test_the_attacks_are_many_and_aim_well(secret_file: Path) -> None:
    assert len(ATTACKS) >= 80
    with Sandbox(least_tier=Tier.NONE, strongest_tier=Tier.NONE) as unprotected:
        for path in ("/etc/passwd", "SECRET_FILE", "/proc/self/environ", "/proc/cpuinfo"):
            assert b"ESCAPED" in unprotected.run_python(armed(path, secret_file, os.getpid()), b"").stdout


def test_a_program_is_refused_at_the_system_call_not_by_python(sandbox: Sandbox, secret_file: Path) -> None:
    program = "try:\n    open('/etc/passwd')\nexcept OSError as error:\n    print(type(error).__name__)"
    assert sandbox.run_python(program, b"").stdout in (b"PermissionError\n", b"FileNotFoundError\n")


def test_its_environment_is_not_ours(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYREWARD_TEST_SECRET", SECRET)
    said = sandbox.run_python("import os; print(dict(os.environ))", b"").stdout
    assert b"SECRET" not in said
    assert SECRET.encode() not in said
    shell = sandbox.run(Program(("/usr/bin/env",)))
    assert b"SECRET" not in shell.stdout


def test_no_descriptor_of_ours_is_open_in_it(sandbox: Sandbox) -> None:
    program = """
import os
def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
print([fd for fd in range(3, 256) if is_open(fd)])
"""
    assert sandbox.run_python(program, b"").stdout == b"[3]\n"
    command = ("/bin/sh", "-c", 'for f in 3 4 5 6 7 8 9; do (eval ": <&$f") 2>/dev/null && echo $f; done; true')
    assert sandbox.run(Program(command), SandboxLimits(process_count=4)).stdout == b""


def test_a_program_finds_nothing_of_another_in_its_memory(sandbox: Sandbox) -> None:
    sandbox.run_python("marker = 'this-is-' + 'of-the-first'", b"stdin-of-the-first")
    program = """
import gc, sys
mark = "of-the-" + "first"
found = [o for o in gc.get_objects() if isinstance(o, (str, bytes)) and mark in str(o)]
frame, seen = sys._getframe(), []
while frame:
    seen += [str(v)[:2000] for v in [*frame.f_locals.values()]]
    frame = frame.f_back
print(found, any(mark in s for s in seen if "mark =" not in s and s != mark))
"""
    assert sandbox.run_python(program, b"").stdout.startswith(b"[]")


class TestBombs:
    def test_memory(self, sandbox: Sandbox) -> None:
        finished = sandbox.run_python("x = [0]\nwhile True: x = x * 2", b"", SandboxLimits(memory_bytes=256 << 20))
        assert finished.ended == "out_of_memory"

    def test_memory_of_many_processes(self, sandbox: Sandbox) -> None:
        script = "for i in 1 2 3 4; do (x=aaaaaaaa; while :; do x=$x$x; done) & done; wait"
        limits = SandboxLimits(memory_bytes=128 << 20, process_count=8, wall_s=20.0)
        finished = sandbox.run(Program(("/bin/sh", "-c", script)), limits)
        assert finished.ended in ("out_of_memory", "exited", "killed")
        assert finished.wall_s < 20

    def test_shared_memory_is_no_way_around(self, sandbox: Sandbox) -> None:
        program = "import mmap\ntry:\n    mmap.mmap(-1, 1 << 20)\nexcept OSError:\n    print('refused')"
        assert sandbox.run_python(program, b"").stdout == b"refused\n"

    def test_forks(self, sandbox: Sandbox) -> None:
        before = processes()
        limits = SandboxLimits(process_count=16, wall_s=5.0)
        finished = sandbox.run(Program(("/bin/bash", "-c", "f() { f | f & }; f; sleep 60")), limits)
        assert finished.ended in ("killed", "timeout")
        assert len(processes() - before) < 10, "what it started is gone"

    def test_threads(self, sandbox: Sandbox) -> None:
        program = """
import threading, time
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    print(count)
    time.sleep(60)
"""
        finished = sandbox.run_python(program, b"", SandboxLimits(wall_s=5.0))
        assert finished.ended in ("killed", "timeout", "exited")
        assert finished.wall_s < 10

    def test_the_disk(self, sandbox: Sandbox) -> None:
        program = """
n = 0
while True:
    with open(f"f{n}", "wb") as file:
        file.write(b"x" * (8 << 20))
    n += 1
"""
        finished = sandbox.run_python(program, b"", SandboxLimits(folder_bytes=32 << 20, wall_s=20.0))
        assert (finished.ended, finished.exit_code == 1) in [("killed", False), ("exited", True)]

    def test_one_large_file(self, sandbox: Sandbox) -> None:
        program = (
            "file = open('x', 'wb')\ntry:\n    file.truncate(1 << 40)\nexcept OSError as error:\n    print(error.errno)"
        )
        assert sandbox.run_python(program, b"").stdout == b"27\n"

    def test_empty_files(self, sandbox: Sandbox) -> None:
        program = "n = 0\nwhile True:\n    open(f'{n}', 'w').close()\n    n += 1"
        finished = sandbox.run_python(program, b"", SandboxLimits(wall_s=20.0))
        assert finished.ended in ("killed", "exited")

    def test_output(self, sandbox: Sandbox) -> None:
        limits = SandboxLimits(output_bytes=1000, file_bytes=1 << 20)
        finished = sandbox.run_python("while True: print('x' * 1000)", b"", limits)
        assert (len(finished.stdout), finished.was_cut, finished.ended) == (1000, True, "exited")

    def test_time(self, sandbox: Sandbox) -> None:
        finished = sandbox.run_python("while True: pass", b"", SandboxLimits(wall_s=0.5))
        assert finished.ended == "timeout"

    def test_cpu_time(self, sandbox: Sandbox) -> None:
        program = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
        finished = sandbox.run_python(program, b"", SandboxLimits(cpu_s=1.0, wall_s=60.0))
        assert finished.ended == "timeout"
        assert finished.cpu_s < 4

    def test_a_program_that_ignores_every_signal(self, sandbox: Sandbox) -> None:
        script = "trap '' TERM INT HUP QUIT; while :; do :; done"
        finished = sandbox.run(Program(("/bin/sh", "-c", script)), SandboxLimits(wall_s=0.5))
        assert (finished.ended, finished.signal) == ("timeout", 9)


class TestNothingIsLeft:
    def test_no_file(self, sandbox: Sandbox) -> None:
        litter = """
import os
os.makedirs("a/b/c")
open("a/b/file", "w").write("x")
os.symlink("/", "a/root")
os.symlink("..", "up")
os.chmod("a/b", 0) if CHMOD else None
for at in range(300):
    os.mkdir("deep")
    os.chdir("deep")
"""
        for can_chmod in (False, "uid" in sandbox.report()["uid"]):
            assert sandbox.run_python(litter.replace("CHMOD", str(can_chmod)), b"").exit_code == 0
            assert sandbox.run_python("import os; print(os.listdir())", b"").stdout == b"[]\n"

    def test_no_process(self, sandbox: Sandbox) -> None:
        before = processes()
        script = "(sleep 98765 &) ; nohup sleep 98765 & exit 0"
        finished = sandbox.run(Program(("/bin/sh", "-c", script)), SandboxLimits(process_count=8))
        assert finished.exit_code == 0
        commands = [Path(f"/proc/{pid}/cmdline") for pid in processes() - before]
        assert not [path for path in commands if path.exists() and b"98765" in path.read_bytes()]

    def test_not_even_its_folder_once_the_sandbox_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        tmp_path.chmod(0o711)
        with Sandbox() as opened:
            opened.run_python("open('x', 'w')", b"")
        assert list(tmp_path.iterdir()) == []
