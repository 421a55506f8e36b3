from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from rayreward.programs.remote import from_json, to_json
from rayreward.rewards import CodeExecutionReward
from rayreward.sandbox import Opaque
from tests.programs.fusion import FusionServer

ADD = "```python\ndef add(a, b):\n    return a + b\n```"
ASSERTS = ["assert add(1, 2) == 3", "assert add([1], [(2,)]) == [1, (2,)]"]
STDIO = {"inputs": ["3\n", "10\n"], "outputs": ["9\n", "100\n"]}


@pytest.fixture(scope="module")
def server() -> Iterator[FusionServer]:
    server = FusionServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def reward(server: FusionServer) -> Iterator[CodeExecutionReward]:
    reward = CodeExecutionReward(executor="remote", url=server.url, time_limit_s=3.0)
    yield reward
    reward.close()


def test_asserts_are_judged_here_and_calls_run_there(reward: CodeExecutionReward, server: FusionServer) -> None:
    server.asked.clear()
    output = reward(response=ADD, label=ASSERTS)
    assert (output.score, output.metadata["executor"]) == (1.0, "remote")
    assert len(server.asked) == 2
    assert {*server.asked[0]} == {"code", "language", "stdin", "files", "compile_timeout", "run_timeout"}
    assert not any("assert add" in json.dumps(asked) for asked in server.asked)  # nor what is expected


def test_a_program_is_imported_there_too(reward: CodeExecutionReward) -> None:
    source = "import sys\ndef add(a, b): a.append(b)\nif __name__ == '__main__':\n    print(sys.stdin.readline())"
    test = "a = [1]\nadd(a, (2,))\nassert a == [1, (2,)]"
    assert reward(response=f"```python\n{source}\n```", label=[test]).score == 1.0


def test_programs_that_read_and_print(reward: CodeExecutionReward) -> None:
    right, wrong = "n = int(input())\nprint(n * n)", "n = int(input())\nprint(9)"
    assert reward(response=right, label=STDIO).score == 1.0
    assert reward(response=wrong, label=STDIO).metadata["verdicts"] == ["passed", "wrong_answer"]
    assert reward(response="while True: pass", label=STDIO).metadata["verdicts"] == ["timeout", "timeout"]
    assert reward(response="raise ValueError", label=STDIO).metadata["verdicts"] == ["runtime_error"] * 2


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_what_does_not_compile_there_passes_nothing(reward: CodeExecutionReward) -> None:
    output = reward(response="int main() { return x; }", label=STDIO, language="cpp")
    assert output.metadata["verdicts"] == ["compile_error", "compile_error"]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def add(a, b): raise ValueError", "runtime_error"),
        ("def add(a, b): return 4", "wrong_answer"),
        ("import os\nos._exit(0)", "ended"),
        ("import sys\nsys.exit(0)", "ended"),
        ("raise KeyError", "runtime_error"),
        ("while True: pass", "timeout"),
        ("class E:\n    def __eq__(self, o): return True\ndef add(a, b): return [E()]", "wrong_answer"),
        ("import json\njson.dumps = lambda *a: '[\"value\", [\"list\", [\"value\", 3]]]'\ndef add(a, b): return 4",
         "wrong_answer"),
        ("print('[\"value\", 3]')\nraise SystemExit", "ended"),
    ],
)  # fmt: skip
def test_no_program_there_gets_a_point_for_nothing(reward: CodeExecutionReward, source: str, verdict: str) -> None:
    output = reward(response=source, label=["assert add(1, 5) == 6"])
    assert (output.score, output.metadata["verdicts"]) == (0.0, [verdict])


def test_objects_are_not_kept_there(reward: CodeExecutionReward) -> None:
    output = reward(response="class Node: pass", label=["assert Node().x == 1"])
    assert output.failure is not None
    assert (output.failure.kind, "executor='sandbox'" in output.failure.message) == ("invalid_input", True)


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (500, b"overloaded", "answered 500: b'overloaded'"),
        (200, b"<html>", "is no SandboxFusion"),
        (200, b"[" * 100_000, "is no SandboxFusion"),
        (200, b"{}", "is no SandboxFusion"),
        (200, b'{"status": "Success"}', "is no SandboxFusion"),
        (200, b'{"status": "SandboxError", "message": "no room"}', "failed: 'no room'"),
        (200, b"x" * 20_000_000, "answered more than"),
    ],
)
def test_trouble_there_is_a_failure_and_never_a_zero(
    reward: CodeExecutionReward, server: FusionServer, status: int, content: bytes, said: str
) -> None:
    server.answers.append((status, content))
    output = reward(response="print(9)", label=STDIO)
    assert output.failure is not None
    assert (output.score, output.failure.kind) == (None, "unavailable")
    assert said in output.failure.message


def test_a_service_that_is_not_there_is_unavailable() -> None:
    reward = CodeExecutionReward(executor="remote", url="http://127.0.0.1:9")
    reward.load()
    output = reward(response=ADD, label=ASSERTS)
    assert output.failure is not None
    assert output.failure.kind == "unavailable"
    assert "cannot be asked" in output.failure.message
    reward.close()


VALUES = [
    None,
    True,
    3,
    -(2**70),
    0.1,
    float("inf"),
    1 + 2j,
    "x\ud800",
    b"\x00",
    [1, (2,)],
    {1: {2}, "a": frozenset("b")},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_travel_as_json(value: Any) -> None:
    back = from_json(json.loads(json.dumps(to_json(value))))
    assert (back, type(back)) == (value, type(value))
    assert from_json(to_json(object())) == Opaque("object")


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        ["eval", "1"],
        ["list"],
        ["list", 3],
        ["int", "x"],
        ["float", "1_"],
        ["dict", [[1]]],
        ["set", [["list", []]]],
        ["set", [["int", hex(n * (2**61 - 1))] for n in range(50)]],
    ],
    ids=repr,
)
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(value)
