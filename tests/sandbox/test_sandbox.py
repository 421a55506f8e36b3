from __future__ import annotations

import os
import pickle
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rayreward.errors import ConfigError, SandboxError
from rayreward.sandbox import Ended, Program, Sandbox, SandboxLimits, Tier
from tests.sandbox.conftest import open_sandbox

WITH_PROCESSES = SandboxLimits(process_count=16, wall_s=60.0, cpu_s=60.0)


class TestPythonPrograms:
    def test_input_goes_in_and_output_comes_out(self, sandbox: Sandbox) -> None:
        finished = sandbox.run_python("import sys\nprint(int(input()) + 1)\nprint('no', file=sys.stderr)", b"41\n")
        assert (finished.stdout, finished.stderr, finished.exit_code) == (b"42\n", b"no\n", 0)
        assert (finished.ended, finished.was_cut, finished.tier) == ("exited", False, sandbox.tier)
        assert finished.cpu_s > 0

    @pytest.mark.parametrize(
        ("source", "exit_code"),
        [
            ("", 0), ("import sys; sys.exit(3)", 3), ("import sys; sys.exit('no')", 1), ("raise ValueError('no')", 1),
            ("import os; os._exit(7)", 7), ("def (", 1), ("raise SystemExit", 0), ("input()", 1), ("1/0", 1),
            ("raise KeyboardInterrupt", 1),
            ("exit(4)", 4), ("quit()", 0), ("import sys; sys.stdout.close(); sys.stderr.close()", 0),
            ("def f(): f()\nf()", 1),
        ],
    )  # fmt: skip
    def test_it_exits_as_python_would(self, sandbox: Sandbox, source: str, exit_code: int) -> None:
        finished = sandbox.run_python(source, b"")
        assert (finished.ended, finished.exit_code) == ("exited", exit_code)

    def test_an_error_is_told_with_its_line(self, sandbox: Sandbox) -> None:
        stderr = sandbox.run_python("x = 1\nraise ValueError('no')", b"").stderr.decode()
        assert 'File "program.py", line 2' in stderr
        assert stderr.endswith("ValueError: no\n")
        assert "interpret" not in stderr

    def test_it_is_the_main_module(self, sandbox: Sandbox) -> None:
        source = "import sys, __main__\nx = 5\nif __name__ == '__main__': print(__main__.x, sys.argv)"
        assert sandbox.run_python(source, b"").stdout == b"5 ['program.py']\n"

    def test_what_it_registered_for_its_end_runs(self, sandbox: Sandbox) -> None:
        source = """
import atexit, threading, time
atexit.register(print, "end")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
"""
        assert sandbox.run_python(source, b"").stdout == b"thread\nend\n"

    def test_asyncio_and_threads_work(self, sandbox: Sandbox) -> None:
        source = """
import asyncio, concurrent.futures
async def main():
    await asyncio.sleep(0.01)
    return sum(await asyncio.gather(*(asyncio.to_thread(pow, n, 2) for n in range(4))))
print(asyncio.run(main()))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(abs, range(-10, 0))))
"""
        assert sandbox.run_python(source, b"").stdout == b"14\n55\n"

    def test_it_may_write_into_its_own_folder(self, sandbox: Sandbox) -> None:
        source = """
import os, pathlib, tempfile
pathlib.Path("a").mkdir()
pathlib.Path("a/x").write_text("text")
os.rename("a/x", "y")
with tempfile.NamedTemporaryFile("w+") as file:
    file.write("temporary")
    print(pathlib.Path("y").read_text(), os.path.dirname(file.name) == os.getcwd() == os.environ["HOME"])
"""
        finished = sandbox.run_python(source, b"")
        assert finished.stdout == b"text True\n", finished.stderr

    def test_what_is_not_preloaded_can_be_imported(self, sandbox: Sandbox) -> None:
        source = "import sqlite3, xml.etree.ElementTree, zoneinfo, unittest, ctypes, ssl, csv; print('all')"
        finished = sandbox.run_python(source, b"")
        assert finished.stdout == b"all\n", finished.stderr

    def test_it_knows_nothing_of_this_package(self, sandbox: Sandbox) -> None:
        assert b"No module named 'rayreward'" in sandbox.run_python("import rayreward", b"").stderr

    def test_a_signal_is_told(self, sandbox: Sandbox) -> None:
        source = "import ctypes; ctypes.string_at(0)"
        finished = sandbox.run_python(source, b"")
        assert (finished.ended, finished.signal, finished.note) == ("killed", signal.SIGSEGV, "SIGSEGV")
        assert sandbox.run_python("import os; os.abort()", b"").signal == signal.SIGABRT

    def test_programs_draw_the_same_random_numbers(self, sandbox: Sandbox) -> None:
        source = "import random; print(random.random())"
        assert sandbox.run_python(source, b"").stdout == sandbox.run_python(source, b"").stdout

    def test_deep_recursion_has_room(self, sandbox: Sandbox) -> None:
        source = """
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(128 << 20)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
thread = threading.Thread(target=lambda: print(depth(50_000)))
thread.start(); thread.join()
"""
        assert sandbox.run_python(source, b"").stdout == b"50000\n"

    def test_many_run_at_a_time(self, sandbox: Sandbox) -> None:
        def run(number: int) -> bytes:
            source = (
                "import time; n = int(input()); open('x', 'w').write(str(n)); time.sleep(0.02); print(open('x').read())"
            )
            return sandbox.run_python(source, str(number).encode()).stdout

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(run, range(64))) == [f"{number}\n".encode() for number in range(64)]


class TestPrograms:
    def test_a_command_has_its_files_input_and_environment(self, sandbox: Sandbox) -> None:
        script = "cat; cat data/x; echo $NAME; echo told >&2; exit 3"
        program = Program(
            ("/bin/sh", "./run.sh"), {"run.sh": script.encode(), "data/x": b"file "}, b"input ", {"NAME": "name"}
        )
        finished = sandbox.run(program, WITH_PROCESSES)
        assert (finished.stdout, finished.stderr, finished.exit_code) == (b"input file name\n", b"told\n", 3)

    def test_a_file_of_its_own_can_be_executed(self, sandbox: Sandbox) -> None:
        finished = sandbox.run(Program(("./run",), {"run": b"#!/bin/sh\necho ran\n"}))
        assert finished.stdout == b"ran\n"

    def test_without_processes_it_starts_none(self, sandbox: Sandbox) -> None:
        finished = sandbox.run(Program(("/bin/sh", "-c", "/bin/echo no; /bin/true")))
        assert finished.stdout == b""
        assert finished.exit_code == 2

    def test_files_come_back(self, sandbox: Sandbox) -> None:
        program = Program(
            ("/bin/sh", "-c", "echo made > made; ln -s /etc/passwd link; mkdir folder"),
            wanted=("made", "link", "folder", "missing", "../x", "/etc/passwd"),
        )
        assert sandbox.run(program, WITH_PROCESSES).files == {"made": b"made\n"}

    def test_a_file_as_large_as_may_be_comes_back_whole(self, sandbox: Sandbox) -> None:
        limits = SandboxLimits(process_count=4, wall_s=60.0)
        program = Program(("/bin/sh", "-c", "head -c 20000000 /dev/urandom > large"), wanted=("large",))
        assert len(sandbox.run(program, limits).files["large"]) == limits.file_bytes

    def test_what_cannot_be_run_is_told(self, sandbox: Sandbox) -> None:
        missing = sandbox.run(Program(("/usr/bin/there-is-no-such-tool",)))
        assert (missing.exit_code, missing.ended) == (127, "exited")
        assert "FileNotFoundError" in missing.note
        outside = sandbox.run(Program(("/bin/true",), {"../x": b""}))
        assert "no name of a file" in outside.note

    @pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
    def test_cpp_is_compiled_once_and_run_often(self, sandbox: Sandbox) -> None:
        source = b"#include <iostream>\nint main() { long n; std::cin >> n; std::cout << n * 2 << std::endl; }"
        compiler = Program(("/usr/bin/g++", "-O1", "-o", "main", "main.cpp"), {"main.cpp": source}, wanted=("main",))
        compiled = sandbox.run(compiler, WITH_PROCESSES)
        assert compiled.exit_code == 0, compiled
        for number in (1, 21):
            ran = sandbox.run(Program(("./main",), compiled.files, str(number).encode()))
            assert ran.stdout == f"{number * 2}\n".encode()

    @pytest.mark.skipif(not Path("/usr/bin/node").exists(), reason="needs node in /usr/bin")
    def test_node_reads_its_input_and_prints(self, sandbox: Sandbox) -> None:
        script = (
            b"console.log(require('fs').readFileSync(0, 'utf8').trim().split(' ').map(Number).reduce((a, b) => a + b))"
        )
        finished = sandbox.run(Program(("/usr/bin/node", "main.js"), {"main.js": script}, b"1 2 3"), WITH_PROCESSES)
        assert finished.stdout == b"6\n", finished

    def test_bash_with_pipes(self, sandbox: Sandbox) -> None:
        finished = sandbox.run(Program(("/bin/bash", "-c", "printf 'b\\na\\n' | sort | head -1")), WITH_PROCESSES)
        assert finished.stdout == b"a\n", finished


class TestTiers:
    def test_the_strongest_that_works_is_chosen_and_reported(self) -> None:
        with Sandbox() as sandbox:
            report = sandbox.report()
            assert report["tier"] == sandbox.tier.value
            assert {"landlock", "seccomp", "uid", "python"} <= report.keys()

    def test_none_is_chosen_only_by_who_asks_for_it(self) -> None:
        with pytest.raises(ConfigError, match="no tier"):
            Sandbox(strongest_tier=Tier.NONE)
        with open_sandbox(Tier.NONE) as sandbox:
            assert sandbox.run_python("print(1)", b"").tier is Tier.NONE

    def test_what_does_not_work_is_refused_with_what_was_tried(self) -> None:
        with pytest.raises(
            SandboxError, match=r"at tier 'namespaces' at least, and none works here .*there_is_no_such_module"
        ):
            Sandbox(least_tier=Tier.NAMESPACES, preload=["there_is_no_such_module"]).start()
        with pytest.raises(SandboxError, match="does not run itself"):
            Sandbox(python="/usr/bin/there-is-no-such-python").start()

    def test_limits_that_cannot_work_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"memory_bytes=1\)"):
            SandboxLimits(memory_bytes=1)
        with pytest.raises(ConfigError, match="wall_s=nan"):
            SandboxLimits(wall_s=float("nan"))
        with pytest.raises(ConfigError, match="not an absolute path"):
            Sandbox(readable_paths=["here"])

    def test_more_can_be_made_readable_and_importable(self, tmp_path: Path) -> None:
        package = tmp_path / "site"
        package.mkdir()
        (package / "shared_module.py").write_text("VALUE = 7")
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(0o755)
        with Sandbox(python_paths=[package], preload=["shared_module"]) as sandbox:
            source = "import shared_module as m; print(m.VALUE, len(open(m.__file__).read()))"
            assert sandbox.run_python(source, b"").stdout == b"7 9\n"


class TestTheSandboxItself:
    def test_a_killed_zygote_is_replaced(self) -> None:
        with Sandbox(least_tier=Tier.NONE, strongest_tier=Tier.NONE) as sandbox:
            with pytest.raises(SandboxError, match="zygote ended"):
                sandbox.run_python("import os, time; os.kill(os.getppid(), 9); time.sleep(60)", b"")
            assert sandbox.run_python("print(1)", b"").stdout == b"1\n"

    def test_it_opens_again_after_it_was_closed(self) -> None:
        sandbox = Sandbox()
        assert sandbox.run_python("print(1)", b"").stdout == b"1\n"
        sandbox.close()
        sandbox.close()
        assert sandbox.run_python("print(2)", b"").stdout == b"2\n"
        sandbox.close()

    def test_closing_it_ends_what_runs(self) -> None:
        sandbox = Sandbox()
        candidate = sandbox.open_python("import time\ndef wait(): time.sleep(1000)")
        sandbox.close()
        outcome = candidate.call("wait", (), {}, within_s=60.0)
        assert isinstance(outcome, Ended)
        assert (outcome.finished.ended, outcome.finished.note) == ("killed", "closed")

    def test_a_twin_made_by_pickle_starts_anew(self, sandbox: Sandbox) -> None:
        with pickle.loads(pickle.dumps(sandbox)) as twin:
            assert twin.run_python("print(1)", b"").stdout == b"1\n"
            assert twin.tier is sandbox.tier

    def test_no_descriptor_is_left_open_here(self, sandbox: Sandbox) -> None:
        sandbox.run_python("print(1)", b"")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            sandbox.run_python("print(1)", b"1")
            sandbox.open_python("x = 1").close()
            sandbox.run(Program(("/bin/true",), wanted=("x",)))
        assert len(os.listdir("/proc/self/fd")) == before
