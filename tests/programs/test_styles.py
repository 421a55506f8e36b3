"""Right programs in the styles that models write pass; what tests ask and cannot be answered is no program's 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rayreward.rewards import CodeExecutionReward
from rayreward.types import FailureKind


@pytest.fixture(scope="module")
def reward() -> Iterator[CodeExecutionReward]:
    reward = CodeExecutionReward(time_limit_s=5.0, parallel=1)
    yield reward
    reward.close()


def score(reward: CodeExecutionReward, source: str, *tests: str) -> float | None:
    output = reward(response=f"```python\n{source}\n```", label=list(tests))
    assert output.failure is None, output.failure
    return output.score


EXCEPTIONS = "class Base(Exception): pass\nclass Poor(Base, ValueError): pass\ndef f(x): raise Poor('bad')"
STACK = (
    "class Stack:\n    def __init__(self): self.v = []\n    def push(self, x): self.v.append(x)\n"
    "    def __len__(self): return len(self.v)\n    def __getitem__(self, i): return self.v[i]\n"
    "    def __repr__(self): return f'Stack({self.v})'\nclass Sub(Stack): pass\n"
)


@pytest.mark.parametrize(
    ("source", "test"),
    [
        ("def f(x): return x + 1\nif __name__ == '__main__':\n    print(f(int(input())))", "assert f(1) == 2"),
        ("import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)", "assert f(10**4) == 10**4"),
        ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
         "def f(a): return P(a).x", "assert f(1) == 1 and P(3).x == 3"),
        ("import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1", "import asyncio\nassert asyncio.run(f(1)) == 2"),
        ("def f(x): return lambda y: x + y", "assert f(1)(2) == 3"),
        ("from fractions import Fraction\ndef f(): return [Fraction(1, 2)]", "from fractions import Fraction\nassert f() == [Fraction(1, 2)]"),
        ("from datetime import *\ndef f(): return {date(2020, 1, 2): timedelta(1)}", "assert f() == {date(2020, 1, 2): timedelta(1)}"),
        ("from collections import deque\ndef f(): return deque([1])", "assert f() == deque([1]) and f() != [1]"),
        ("from collections import Counter\ndef f(): return Counter('aab')", "assert f().most_common(1) == [('a', 2)]"),
        ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return [P(1, 2)]", "assert f()[0].y == 2 and f() == [(1, 2)]"),
        ("def f(): return range(3)", "assert f() == range(3) and list(f()) == [0, 1, 2]"),
        ("def f(): return {'a': 1}.keys()", "assert f() == {'a'} and list(f()) == ['a']"),
        ("import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ndef f(): return E.A", "assert f() == E.A and f() != E.B and E.A == f()"),
        (EXCEPTIONS, "try:\n    f(1)\n    assert False\nexcept Poor as error:\n    assert str(error) == 'bad'"),
        (EXCEPTIONS, "try:\n    f(1)\n    assert False\nexcept Base:\n    pass"),
        (EXCEPTIONS, "try:\n    f(1)\n    assert False\nexcept (KeyError, ValueError):\n    pass"),
        (STACK, "s = Stack()\ns.push(1)\nassert len(s) == 1 and s[0] == 1 and str(s) == 'Stack([1])'"),
        (STACK, "assert isinstance(Sub(), Stack) and issubclass(Sub, Stack) and not isinstance(3, Stack)"),
    ],
)  # fmt: skip
def test_ordinary_styles_pass(reward: CodeExecutionReward, source: str, test: str) -> None:
    assert score(reward, source, test) == 1.0


@pytest.mark.parametrize(
    ("source", "test"),
    [
        ("def f(a): a.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]"),
        ("def f(a): a[0][1], a[1][0] = a[1][0], a[0][1]", "row = [1, 2]\na = [row, [3, 4]]\nf(a)\nassert a[0] is row and row == [1, 3]"),
        ("def f(d, *, s): d['b'] = [1]; s.add(2)", "d, s = {'a': 0}, set()\nf(d, s=s)\nassert (d, s) == ({'a': 0, 'b': [1]}, {2})"),
        ("class Solution:\n    def f(self, a): a.reverse()", "a = [1, 2]\nSolution().f(a)\nassert a == [2, 1]"),
        ("class Solution:\n    def f(self, a): a.reverse()", "s = Solution()\na = [1, 2]\ns.f(a)\nassert a == [2, 1]"),
        ("def f(a): a.popleft()", "a = deque([1, 2])\nf(a)\nassert a == deque([2])"),
    ],
)  # fmt: skip
def test_what_a_statement_changes_in_place_is_seen(reward: CodeExecutionReward, source: str, test: str) -> None:
    assert score(reward, source, test) == 1.0


def test_what_an_expression_changes_in_place_is_not_seen(reward: CodeExecutionReward) -> None:
    empties = "def f(a):\n    a.clear()\n    return []"
    tests = ["a = [3, 1]\nassert f(a) == sorted(a)", "a = [3, 1]\ngot = f(a)\nassert got == sorted(a)"]
    assert score(reward, empties, *tests) == 0.0


def test_not_raising_is_no_test_passed(reward: CodeExecutionReward) -> None:
    module = (
        "def check(candidate):\n    a = [2, 1]\n    candidate(a)\n    print(candidate([]))\n    assert a == [1, 2]\n"
    )
    label = {"test": module, "entry_point": "f"}
    assert reward(response="```python\ndef f(a): pass\n```", label=label).score == 0.0
    right = reward(response="```python\ndef f(a): a.sort()\n```", label=label)
    assert (right.score, right.metadata["tests"]) == (1.0, 1)


def test_a_module_that_imports_the_solution(reward: CodeExecutionReward) -> None:
    label = "from solution import f\n\n\ndef test_f():\n    assert f(1) == 1\n"
    assert reward(response="```python\ndef f(x): return x\n```", label=label).score == 1.0


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"fn_name": "f", "inputs": [[list(range(1_000_001))]], "outputs": [1]}, "cannot be sent"),
        (["assert f(" + "[" * 120 + "]" * 120 + ") == 1"], "cannot be sent"),
        (["assert len([f(list(range(1000001)))]) == 1"], "cannot be sent"),
        (["code = f(1)\nassert eval(code) == 2"], "outside of the sandbox"),
        (["import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n    f(1)\nassert out"], "prints"),
        ("def test_a():\n    assert f(1) == 1\ndef test_b(capsys):\n    assert f(1) == 1\n", "fixtures or parameters"),
    ],
)  # fmt: skip
def test_what_tests_ask_and_cannot_have_is_their_fault(reward: CodeExecutionReward, label: Any, message: str) -> None:
    output = reward(response="```python\ndef f(x): return x\n```", label=label)
    assert output.failure is not None
    assert output.failure.kind is FailureKind.INVALID_INPUT
    assert message in output.failure.message


def test_no_program_says_that_its_arguments_could_not_be_sent(reward: CodeExecutionReward) -> None:
    liar = "class CodecError(Exception): pass\ndef f(x): raise CodecError('the arguments cannot be sent')"
    assert score(reward, liar, "assert f(1) == 1") == 0.0


def test_a_test_that_catches_everything_ends_with_its_program(reward: CodeExecutionReward) -> None:
    text = "while True:\n    try:\n        assert f(1) == 1\n        break\n    except:\n        pass"
    assert score(reward, "import os\ndef f(x): os._exit(0)", text) == 0.0


_TAMPERED = """
import sys, threading, time
def f(*a): return 0
def late():
    while True:
        globals()['__rayreward_answer__'] = lambda *a: {answer}
        time.sleep(0.0005)
threading.Thread(target=late, daemon=True).start()
"""


@pytest.mark.parametrize(
    "answer",
    [
        "['changed', [[12345], {}]]", "['awaited', ['value', 1]]", "['awaited', ['awaited', ['value', 12345]]]",
        "['made', (M, 'range', 0, 10**30, 1)]", "['made', {(M, 'Decimal', str(1 + n * (2**61 - 1))) for n in range(20000)}]",
        "['made', (M, 'Counter', [n * (2**61 - 1) for n in range(50000)])]", "['made', (M, 'tuple', 'x y', ('a, b',), [1])]",
        "['made', [(M, 'tuple', f'A{n}', (f'x{n}',), [1]) for n in range(20000)]]", "['made', (M, 'eval', '12345')]",
        "['made', (M,)]", "['object', [-1, 'x']]", "['raised', [['E'] * 10**5, 'x']]", "['raised', [[], 'x']]",
        "['raised', [['AssertionError'], 'passed']]", "['raised', [['ProgramEndedError'], '']]", "['raised', [[7], 7]]", "7",
    ],
)  # fmt: skip
def test_no_answer_that_is_made_up_gains_a_point(reward: CodeExecutionReward, answer: str) -> None:
    source = _TAMPERED.replace("{answer}", answer.replace("M,", "'\\x00rayreward',"))
    label: dict[str, Any] = {"fn_name": "f", "inputs": [[1], [2]], "outputs": [12345, 12345]}
    assert reward(response=f"```python\n{source}\n```", label=label).score == 0.0
    assert score(reward, source, "assert f(1) == 12345", "assert f(2) == 12345") == 0.0
    assert score(reward, source, "assert 12345 == f(1)", "a = [3, 1]\nf(a)\nassert a == [1, 3]") == 0.0


_ADAPTS = """
class Any(Exception):
    def __eq__(s, o): return True
    __lt__ = __gt__ = __le__ = __ge__ = __ne__ = __contains__ = __eq__
    def __hash__(s): return 0
    def __len__(s): return 3
    def __getitem__(s, i): return 7
    def __iter__(s): return iter([7])
    def __bool__(s): return True
    def __str__(s): return 'x'
    def __getattr__(s, n): return s
    def __call__(s, *a): return s
def f(*a): return Any()
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert f(1) == f(2)", "assert len(f(1)) == 4", "assert 7 in f(1)", "assert 8 in f(1)", "assert f(1) > 3",
        "assert isinstance(f(1), int)", "assert f(1)", "assert all(x == 7 for x in f(1))", "assert f(1)[0] == 8",
        "assert f(1).x == 3", "assert str(f(1)) == 'y'", "assert f(1) in (3, 4)", "assert any(f(1))", "a, b = f(1)\nassert a",
        "assert max(f(1), 3) == 3", "assert sorted(f(1)) == [7]", "assert set(f(1)) == {7}",
    ],
)  # fmt: skip
def test_an_object_that_agrees_with_everything_agrees_with_nothing(reward: CodeExecutionReward, test: str) -> None:
    assert score(reward, _ADAPTS, test) == 0.0
