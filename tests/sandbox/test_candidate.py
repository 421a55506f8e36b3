from __future__ import annotations

from typing import Any

import pytest

from rayreward.sandbox import Ended, Opaque, Raised, Returned, Sandbox, SandboxLimits

LONG_S = 30.0


def called(sandbox: Sandbox, source: str, name: str = "solve", *args: Any, **kwargs: Any) -> Any:
    with sandbox.open_python(source) as candidate:
        return candidate.call(name, args, kwargs, within_s=LONG_S)


def test_functions_are_called_again_and_again_and_keep_their_state(sandbox: Sandbox) -> None:
    with sandbox.open_python(
        "n = 0\ndef add(x, *, times=1):\n    global n\n    n += x * times\n    return n"
    ) as candidate:
        assert candidate.loaded == Returned(None)
        assert candidate.call("add", (1,), {}, within_s=LONG_S) == Returned(1)
        assert candidate.call("add", [2], {"times": 3}, within_s=LONG_S) == Returned(7)


def test_dots_lead_to_attributes(sandbox: Sandbox) -> None:
    source = "class Solution:\n    @staticmethod\n    def solve(x): return [x]\nsolution = Solution()"
    assert called(sandbox, source, "solution.solve", 3) == Returned([3])


def test_values_are_plain_and_the_rest_is_opaque(sandbox: Sandbox) -> None:
    source = """
class Liar(int):
    def __eq__(self, other): return True
    def __hash__(self): return 42
def solve(kind): return [Liar(1), {"a": (1, 2.5)}, None, solve][kind]
"""
    assert called(sandbox, source, "solve", 0) == Returned(Opaque("Liar"))
    assert called(sandbox, source, "solve", 1) == Returned({"a": (1, 2.5)})
    assert called(sandbox, source, "solve", 3) == Returned(Opaque("function"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def solve():\n    raise ValueError('no')", Raised("ValueError", "no", 2)),
        ("def solve(x): pass", Raised("TypeError", "solve() missing 1 required positional argument: 'x'")),
        ("solve = 3", Raised("TypeError", "'int' object is not callable")),
        ("", Raised("NameError", "name 'solve' is not defined")),
        ("import sys\ndef solve(): sys.exit(3)", Raised("SystemExit", "3", 2)),
        ("class E(Exception):\n    def __str__(self): 1/0\ndef solve():\n    raise E",
         Raised("E", "(cannot be shown)", 4)),
        ("def solve():\n    x = []\n    x.append(x)\n    return x",
         Raised("CodecError", "a value of more than 100 containers within each other")),
        ("def solve(): return 'x' * (17 << 20)", Raised("CodecError", "a value of more than 16777216 bytes")),
    ],
)  # fmt: skip
def test_what_is_raised_is_told(sandbox: Sandbox, source: str, expected: Raised) -> None:
    assert called(sandbox, source) == expected


def test_a_source_that_raises_says_so_and_its_functions_can_still_be_called(sandbox: Sandbox) -> None:
    with sandbox.open_python("def f(): return 1\nraise KeyError('x')") as candidate:
        assert candidate.loaded == Raised("KeyError", "'x'", 2)
        assert candidate.call("f", (), {}, within_s=LONG_S) == Returned(1)
    with sandbox.open_python("def f(:") as candidate:
        assert isinstance(candidate.loaded, Raised)
        assert (candidate.loaded.type_name, candidate.loaded.line) == ("SyntaxError", 1)


def test_a_recursion_without_end_and_memory_without_end_are_errors_of_the_call(sandbox: Sandbox) -> None:
    source = "def deep(): return deep()\ndef large(): return [0] * (1 << 40)\ndef f(): return 1"
    with sandbox.open_python(source) as candidate:
        for name, error in (("deep", "RecursionError"), ("large", "MemoryError")):
            raised = candidate.call(name, (), {}, within_s=LONG_S)
            assert isinstance(raised, Raised)
            assert raised.type_name == error
        assert candidate.call("f", (), {}, within_s=LONG_S) == Returned(1)


def test_prints_are_kept_apart_from_answers(sandbox: Sandbox) -> None:
    source = "import os\ndef solve():\n    print('noise'); os.write(1, b'more'); return 5"
    with sandbox.open_python(source) as candidate:
        assert candidate.call("solve", (), {}, within_s=LONG_S) == Returned(5)
        assert candidate.stdout_tail() == b"morenoise\n"
        assert candidate.stdout_tail(3) == b"se\n"
        finished = candidate.close()
    assert finished.stdout == b"morenoise\n"
    assert candidate.close() is finished


def test_arguments_that_cannot_travel_are_told_without_harm(sandbox: Sandbox) -> None:
    with sandbox.open_python("def f(x): return x") as candidate:
        raised = candidate.call("f", ("x" * (17 << 20),), {}, within_s=LONG_S)
        assert isinstance(raised, Raised)
        assert raised.type_name == "CodecError"
        assert candidate.call("f", (1,), {}, within_s=LONG_S) == Returned(1)


@pytest.mark.parametrize(
    ("body", "ended", "exit_code", "signal"),
    [
        ("os._exit(0)", "exited", 0, None),
        ("os._exit(3)", "exited", 3, None),
        ("os.kill(os.getpid(), 9)", "killed", None, 9),
        ("os.abort()", "killed", None, 6),
        ("ctypes.string_at(0)", "killed", None, 11),
        ("os.close(3); time.sleep(60)", "killed", None, 9),
        ("os.closerange(0, 100); time.sleep(60)", "killed", None, 9),
        ("os.write(3, b'\\xff' * 100); time.sleep(60)", "killed", None, 9),
        ("os.write(3, struct.pack('<I', 9) + b'forged...'); time.sleep(60)", "killed", None, 9),
        ("os.write(3, struct.pack('<I', 1) + b'N'); time.sleep(60)", "killed", None, 9),
        ("os.dup2(1, 3); time.sleep(60)", "killed", None, 9),
    ],
)
def test_a_candidate_that_ends_or_says_nonsense_is_gone(
    sandbox: Sandbox, body: str, ended: str, exit_code: int | None, signal: int | None
) -> None:
    source = f"import os, sys, time, ctypes, struct\ndef solve():\n    {body}"
    with sandbox.open_python(source) as candidate:
        outcome = candidate.call("solve", (), {}, within_s=LONG_S)
        assert isinstance(outcome, Ended)
        finished = outcome.finished
        assert (finished.ended, finished.exit_code, finished.signal) == (ended, exit_code, signal)
        assert candidate.call("solve", (), {}, within_s=LONG_S) is outcome


def test_a_call_that_takes_too_long_ends_the_candidate(sandbox: Sandbox) -> None:
    for body in ("while True: pass", "__import__('time').sleep(1000)", "return 9 ** 9 ** 9"):
        with sandbox.open_python(f"def solve():\n    {body}") as candidate:
            outcome = candidate.call("solve", (), {}, within_s=0.3)
            assert isinstance(outcome, Ended)
            assert outcome.finished.ended == "timeout"


def test_a_source_that_takes_too_long_ends_too(sandbox: Sandbox) -> None:
    with sandbox.open_python("while True: pass", limits=SandboxLimits(wall_s=0.3)) as candidate:
        assert isinstance(candidate.loaded, Ended)
        assert candidate.loaded.finished.ended == "timeout"


def test_patched_builtins_hurt_only_itself(sandbox: Sandbox) -> None:
    source = """
import builtins, os, struct, sys
def lie(*args, **kwargs): return 0
for name in ("len", "type", "isinstance", "print", "hash", "sum", "sorted", "exec", "compile", "getattr", "tuple"):
    setattr(builtins, name, lie)
os.write = os.read = lie
sys.modules.clear()
def solve(): return 1
"""
    with sandbox.open_python(source) as candidate:
        candidate.call("solve", (), {}, within_s=1.0)
    assert called(sandbox, "def solve(): return len([1, 2])") == Returned(2)


def test_an_answer_given_in_advance_is_only_its_own_lie(sandbox: Sandbox) -> None:
    source = """
import os, struct
def length(n): return struct.pack("<I", n)
answer = b"t" + length(3) + b"i" + length(1) + b"\\x01" + b"s" + length(8) + b"returned" + b"T"
def solve():
    os.write(3, struct.pack("<I", len(answer)) + answer)
    os._exit(0)
"""
    assert called(sandbox, source) == Returned(True)


def test_what_a_program_says_last_cannot_forge_a_pass_of_another(sandbox: Sandbox) -> None:
    with sandbox.open_python("def a(): return 1") as first, sandbox.open_python("def a(): return 2") as second:
        assert second.call("a", (), {}, within_s=LONG_S) == Returned(2)
        assert first.call("a", (), {}, within_s=LONG_S) == Returned(1)
