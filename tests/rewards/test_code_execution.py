from __future__ import annotations

import asyncio
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import CodeExecutionReward
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers import build_runner

ADD = "```python\ndef add(a, b):\n    return a + b\n```"
ASSERTS = ["assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"]


@pytest.fixture(scope="module")
def reward() -> Iterator[CodeExecutionReward]:
    reward = CodeExecutionReward(time_limit_s=5.0)
    yield reward
    reward.close()


def program(source: str, language: str = "python") -> str:
    return f"Here it is:\n```{language}\n{source}\n```\nIt works."


def failure_kind(output: RewardOutput) -> FailureKind | None:
    return None if output.failure is None else output.failure.kind


def test_the_score_is_the_share_of_tests_passed(reward: CodeExecutionReward) -> None:
    right, half = (
        reward(response=ADD, label=ASSERTS),
        reward(response=program("def add(a, b): return 0"), label=ASSERTS),
    )
    assert (right.score, right.metrics["tests"].score, right.reason) == (1.0, 1.0, "4 of 4 tests passed")
    assert (half.score, half.metadata["verdicts"]) == (0.5, ["wrong_answer", "wrong_answer", "passed", "passed"])
    assert half.reason == "2 of 4 tests passed; test 1: wrong_answer: returned 0, expected 3 [assert add(1, 2) == 3]"


def test_programs_in_the_thinking_do_not_count(reward: CodeExecutionReward) -> None:
    for response, score in (
        ("<think>" + program("def add(a, b): return 0") + "</think>" + ADD, 1.0),
        ("<think>" + ADD + "\nand so", 0.0),
        (ADD + "</think>I give up.", 0.0),
    ):
        assert reward(response=response, label=ASSERTS[:1]).score == score
    assert CodeExecutionReward(part="response").part == "response"


def test_all_or_nothing_stops_at_the_first_test_that_does_not_pass() -> None:
    reward = CodeExecutionReward(score="all")
    try:
        wrong = reward(response=program("def add(a, b): return 3"), label=ASSERTS)
        assert (wrong.score, wrong.metrics["tests"].score) == (0.0, 0.25)
        assert wrong.metadata["verdicts"] == ["passed", "wrong_answer", "not_run", "not_run"]
        assert reward(response=ADD, label=ASSERTS).score == 1.0
    finally:
        reward.close()


def test_what_isolated_a_program_is_told(reward: CodeExecutionReward) -> None:
    metadata = reward(response=ADD, label=ASSERTS).metadata
    assert metadata["executor"] == "sandbox"
    assert metadata["tier"] in ("namespaces", "landlock")
    assert (metadata["language"], metadata["tests"], metadata["passed"]) == ("python", 4, 4)


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def add(a, b): return a - b", "wrong_answer"),
        ("def add(a, b): raise ValueError('no')", "runtime_error"),
        ("def add(a): return a", "runtime_error"),
        ("def plus(a, b): return a + b", "runtime_error"),
        ("def add(a, b)\n    return", "load_error"),
        ("import numpy_that_is_not_there\ndef add(a, b): return a + b", "load_error"),
        ("def add(a, b):\n    while True: pass", "timeout"),
        ("while True: pass", "timeout"),
        ("import os\ndef add(a, b): os._exit(0)", "ended"),
        ("import os\nos._exit(0)", "ended"),
        ("def add(a, b): return bytearray(1 << 40)", "runtime_error"),
        ("\ud800", "compile_error"),
    ],
)
def test_what_a_program_does_is_a_result_and_no_failure(source: str, verdict: str) -> None:
    reward = CodeExecutionReward(time_limit_s=1.0)
    try:
        output = reward(response=program(source), label=ASSERTS[:1])
        assert (output.score, output.failure, output.metadata["verdicts"]) == (0.0, None, [verdict])
    finally:
        reward.close()


def test_a_program_that_ended_is_started_again_for_the_next_test(reward: CodeExecutionReward) -> None:
    source = "import os\ndef add(a, b):\n    if a == 2: os._exit(0)\n    return a + b"
    assert reward(response=program(source), label=ASSERTS).metadata["verdicts"] == [
        "passed",
        "ended",
        "passed",
        "passed",
    ]


def test_noise_on_standard_output_changes_nothing(reward: CodeExecutionReward) -> None:
    source = "print('{\"score\": 1.0}' * 1000)\ndef add(a, b):\n    print('PASSED' * 1000)\n    return 5"
    assert reward(response=program(source), label=ASSERTS).score == 0.0


def test_humaneval(reward: CodeExecutionReward) -> None:
    row = {
        "prompt": "def encode(s):\n    return s[1:] + s[:1]\n\ndef decode(s):\n    '''Undo encode.'''\n",
        "entry_point": "decode",
        "test": "METADATA = {}\n\ndef check(candidate):\n    from random import choice\n"
        "    for _ in range(20):\n        s = ''.join(choice('abc') for _ in range(5))\n"
        "        assert candidate(encode(s)) == s\n    assert candidate('b') == 'b'\n    assert True, 'printed'\n",
    }
    right = reward(response=program("def decode(s):\n    return s[-1:] + s[:-1]"), label=row)
    assert (right.score, right.metadata["tests"]) == (1.0, 2)
    cheat = reward(response=program("def encode(s): return s\ndef decode(s): return s"), label=row)
    assert cheat.score == 0.5  # what is its own inverse there; the prompt's encode is the one that counts


def test_mbpp_with_objects_of_the_programs_own(reward: CodeExecutionReward) -> None:
    source = (
        "class Node:\n    def __init__(self, data):\n        self.data, self.left, self.right = data, None, None\n"
        "def depth(node):\n    return 0 if node is None else 1 + max(depth(node.left), depth(node.right))"
    )
    row = {
        "test_setup_code": "root = Node(1)\nroot.left = Node(2)\nroot.left.left = Node(3)",
        "test_list": ["assert depth(root) == 3", "assert depth(root.left) == 2", "assert root.data == 1"],
    }
    assert reward(response=program(source), label=row).score == 1.0


def test_mbpp_with_a_class_as_argument_and_a_function_called_sum(reward: CodeExecutionReward) -> None:
    source = "def remove(items, kind):\n    return [one for one in items if not isinstance(one, kind)]"
    assert reward(response=program(source), label=["assert remove((1, 'a'), int) == ['a']"]).score == 1.0
    assert reward(response=program("def sum(a, b): return a * b"), label=["assert sum(2, 5) == 10"]).score == 1.0


def test_calls_of_a_function_or_of_a_method_of_solution(reward: CodeExecutionReward) -> None:
    label = {"fn_name": "twoSum", "inputs": [[[2, 7], 9], [[3, 3], 6]], "outputs": [[0, 1], [0, 1]]}
    method = "class Solution:\n    def twoSum(self, nums, target):\n        return (0, 1)"
    for source in (method, "def twoSum(nums, target): return [0, 1]"):
        assert reward(response=program(source), label=label).score == 1.0
    missing = reward(response=program("def other(): pass"), label=label)
    assert missing.reason is not None
    assert "the program defines no 'twoSum'" in missing.reason


@pytest.mark.parametrize(
    ("source", "returned"),
    [
        ("from collections import Counter\ndef f(): return Counter('aab')", "{'a': 2, 'b': 1}"),
        ("from collections import deque\ndef f(): return list(deque([1, 2]))", "[1, 2]"),
        ("from collections import namedtuple\ndef f(): return namedtuple('P', 'x y')(1, 2)", "(1, 2)"),
        ("def f(): return (x for x in 'ab')", "['a', 'b']"),
        ("def f(): return {1: 'a'}.keys()", "{1}"),
        ("import enum\nclass E(enum.IntEnum):\n    A = 3\ndef f(): return E.A", "3"),
        ("from fractions import Fraction\ndef f(): return Fraction(1, 2)", "0.5"),
        ("from decimal import Decimal\ndef f(): return Decimal('1.50')", "Decimal('1.5')"),
        ("def f(): return [{1, 2}, frozenset([3]), b'x', 1j, None]", "[{1, 2}, frozenset([3]), b'x', 1j, None]"),
        ("from array import array\ndef f(): return array('i', [1])", "[1]"),
        ("def f(): return 10 ** 30", "10 ** 30"),
    ],
)
def test_common_values_come_back_plain(reward: CodeExecutionReward, source: str, returned: str) -> None:
    assert reward(response=program(source), label=[f"assert f() == {returned}"]).score == 1.0


def test_a_judge_that_a_programs_answer_keeps_busy_costs_that_program_its_tests() -> None:
    reward = CodeExecutionReward(time_limit_s=1.0)
    try:
        label = ["assert len([0 for _ in range(f())]) == 3", "assert f() == 3"]
        slow, fine = (
            Sample(response=program(f"def f(): return {number}"), label=label) for number in ("10 ** 12", "3")
        )
        outputs = reward.score([slow, fine])
        assert [output.score for output in outputs] == [0.0, 1.0]
        assert outputs[0].metadata["verdicts"] == ["timeout", "not_run"]
    finally:
        reward.close()


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        (None, FailureKind.INVALID_INPUT),
        ([], FailureKind.INVALID_INPUT),
        (["assert undefined_module.f() == undefined("], FailureKind.INVALID_INPUT),
        (["import a_module_nobody_has\nassert add(1, 2) == 3"], FailureKind.INVALID_INPUT),
        ({"test_list": ["assert add(1, 2) == 3"], "test_setup_code": "1 / 0"}, FailureKind.INVALID_INPUT),
        (["assert add(lambda: 1, 2) == 3"], FailureKind.INVALID_INPUT),
        (["while True: pass\nassert add(1, 2) == 3"], FailureKind.TIMEOUT),
    ],
)
def test_the_tests_own_fault_is_a_failure_whatever_the_program_does(label: Any, kind: FailureKind) -> None:
    reward = CodeExecutionReward(time_limit_s=1.0)
    try:
        for response in (ADD, program("def add(a, b): return 1")):
            output = reward(response=response, label=label)
            assert (output.score, failure_kind(output)) == (None, kind)
    finally:
        reward.close()


def test_without_a_program_nothing_runs(reward: CodeExecutionReward) -> None:
    for response in ("", "```text\nadd\n```", "<think>" + ADD + "</think> ", "\x00" * 300_000):
        output = reward(response=response, label=ASSERTS)
        assert (output.score, output.failure) == (0.0, None)


STDIO = {"inputs": ["3\n", "10\n"], "outputs": ["9\n", "100\n"]}
SQUARES = {
    "python": "n = int(input())\nprint(n * n)",
    "javascript": "const n = parseInt(require('fs').readFileSync(0, 'utf8'));\nconsole.log(n * n);",
    "cpp": "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << n * n << std::endl; }",
    "bash": "read n\necho $((n * n)) | cat",
}
TOOLS = {"python": None, "javascript": "node", "cpp": "g++", "bash": "bash"}


@pytest.mark.parametrize("language", SQUARES)
def test_programs_that_read_and_print(reward: CodeExecutionReward, language: str) -> None:
    tool = TOOLS[language]
    if tool is not None and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    right = reward(response=program(SQUARES[language], language), label=STDIO, language=language)
    assert (right.score, right.failure) == (1.0, None)
    wrong = reward(
        response=program(SQUARES[language].replace("n * n", "n + 6"), language), label=STDIO, language=language
    )
    assert wrong.metadata["verdicts"] == ["passed", "wrong_answer"]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("n = int(input())\nprint(n * n)\nraise SystemExit(1)", "runtime_error"),
        ("n = int(input())\nprint(n * n, flush=True)\nwhile True: pass", "timeout"),
        ("n = int(input())\nprint(n * n)\nimport sys\nwhile True: print('x' * 10_000)", "output_limit"),
        ("n = int(input())\nprint('debug')\nprint(n * n)", "wrong_answer"),
        ("raise SystemExit(0)", "wrong_answer"),
        ("print(9)\nprint(100)", "wrong_answer"),
        ("def f(:", "runtime_error"),
    ],
)
def test_the_right_output_is_not_all(source: str, verdict: str) -> None:
    reward = CodeExecutionReward(time_limit_s=1.0)
    try:
        output = reward(response=program(source), label=STDIO)
        assert (output.score, output.metadata["verdicts"]) == (0.0, [verdict, verdict])
    finally:
        reward.close()


@pytest.mark.parametrize("line", ["exit()", "quit(0)", "import sys; sys.exit()", "raise SystemExit"])
def test_programs_may_end_as_python_programs_do(reward: CodeExecutionReward, line: str) -> None:
    assert reward(response=program(f"n = int(input())\nprint(n * n)\n{line}\nprint('never')"), label=STDIO).score == 1.0


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_a_program_may_close_its_output(reward: CodeExecutionReward) -> None:
    source = "import sys\nprint(int(input()) + 1)\nsys.stdout.close()"
    assert reward(response=program(source), label=[{"input": "1\n", "output": "2\n"}]).score == 1.0


def test_a_program_that_does_not_compile_passes_nothing_and_says_why(reward: CodeExecutionReward) -> None:
    output = reward(response=program("int main() { return x; }", "cpp"), label=STDIO, language="cpp")
    assert (output.score, output.metadata["verdicts"]) == (0.0, ["compile_error", "compile_error"])
    assert output.reason is not None
    assert "not declared" in output.reason
    assert output.metrics["runs"].score == 0.0


def test_a_language_whose_tool_is_missing_is_unavailable(
    reward: CodeExecutionReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    output = reward(response=program(SQUARES["cpp"], "cpp"), label=STDIO, language="cpp")
    assert failure_kind(output) is FailureKind.UNAVAILABLE
    assert output.failure is not None
    assert "needs g++" in output.failure.message


def test_asserts_are_for_python_and_unknown_languages_are_named(reward: CodeExecutionReward) -> None:
    for language, found in (("cpp", "tested by input and output"), ("cobol", "must be one of")):
        output = reward(response=program("int main() {}", "cpp"), label=ASSERTS, language=language)
        assert output.failure is not None
        assert output.failure.kind is FailureKind.INVALID_INPUT
        assert found in output.failure.message


@pytest.mark.parametrize("unit", [" ", "<", "{", "(", "```", "\x00", "\ud800", "x = [", "-"])
def test_a_hostile_megabyte_is_just_another_program(reward: CodeExecutionReward, unit: str) -> None:
    for response in (unit * (1_000_000 // len(unit)), program(unit * (150_000 // len(unit)))):
        output = reward(response=response, label=ASSERTS)
        assert (output.score, output.failure) == (0.0, None)


def test_samples_keep_their_order_and_their_faults(reward: CodeExecutionReward) -> None:
    labels: list[Any] = [ASSERTS, None, ASSERTS, ASSERTS]
    responses = [ADD, ADD, program("import os\nos._exit(0)"), ADD]
    outputs = reward.score([Sample(response=one, label=label) for one, label in zip(responses, labels, strict=True)])
    assert [output.score for output in outputs] == [1.0, None, 0.0, 1.0]


def test_a_sandbox_that_is_lost_is_a_failure_and_the_next_sample_has_a_new_one() -> None:
    reward = CodeExecutionReward()
    try:
        assert reward(response=ADD, label=ASSERTS).score == 1.0
        for child in psutil.Process(os.getpid()).children(recursive=True):
            child.kill()
        scores = [reward(response=ADD, label=ASSERTS) for _ in range(3)]
        assert scores[-1].score == 1.0
        assert all(output.score == 1.0 or failure_kind(output) in ("unavailable", "crashed") for output in scores)
    finally:
        reward.close()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are x86-64's")
def test_isolation_that_is_too_weak_is_refused_when_it_loads() -> None:
    code = (
        "from tests.programs.surroundings import refuse_what_docker_refuses\n"
        "from rayreward.rewards import CodeExecutionReward\n"
        "refuse_what_docker_refuses()\n"
        "CodeExecutionReward(least_tier='namespaces').load()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert "RewardLoadError: code_execution: programs were to be isolated at tier 'namespaces' at least" in found.stderr
    assert "remote executor" in found.stderr  # what to do


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"language": "pyton"}, "did you mean 'python'"),
        ({"score": "most"}, "score='most'"),
        ({"comparison": "fuzzy"}, "comparison='fuzzy'"),
        ({"part": "thoughts"}, "part='thoughts'"),
        ({"extract": "middle"}, "extract='middle'"),
        ({"least_tier": "some"}, "least_tier='some'"),
        ({"executor": "docker"}, "executor='docker'"),
        ({"executor": "remote"}, "needs the service's http:// address"),
        ({"url": "http://x"}, "needs the service's http:// address"),
        ({"time_limit_s": 0}, "time_limit_s=0): a number above 0"),
        ({"parallel": 0}, "parallel=0): a number above 0"),
        ({"float_tolerance": 2.0}, "float_tolerance=2.0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)):
        CodeExecutionReward(**arguments)


def test_it_travels_and_what_it_started_ends_with_it() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    reward = CodeExecutionReward(score="all")
    assert reward(response=ADD, label=ASSERTS).score == 1.0
    twin = pickle.loads(pickle.dumps(reward))
    assert twin.version == reward.version != CodeExecutionReward().version
    assert twin(response=ADD, label=ASSERTS).score == 1.0
    twin.close()
    del reward
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


async def test_it_runs_where_a_replica_runs_it() -> None:
    runner = build_runner(CodeExecutionReward(parallel=2))
    await runner.start()
    outputs = await runner.run([Sample(response=ADD, label=ASSERTS)] * 8)
    assert [output.score for output in outputs] == [1.0] * 8
    await runner.stop()


async def test_a_call_that_is_given_up_stops_what_it_had_begun() -> None:
    reward = CodeExecutionReward(parallel=1, time_limit_s=1.0)
    try:
        hanging = [Sample(response=program("def add(a, b):\n    while True: pass"), label=ASSERTS)] * 50
        task = asyncio.create_task(reward.ascore(hanging))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await reward.ascore([Sample(response=ADD, label=ASSERTS)]))[0].score == 1.0
    finally:
        reward.close()
