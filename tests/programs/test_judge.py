from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from rayreward.programs.assertions import split_asserts
from rayreward.programs.errors import GradingError
from rayreward.programs.judge import Judge, Outcome, Request
from rayreward.sandbox import Opaque
from tests.processes import is_gone

Answers = Callable[[Request], tuple[str, Any]]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = Judge()
    yield judge
    judge.close()


def outcomes(judge: Judge, texts: list[str], answer: Answers, *, limit_s: float = 20.0) -> list[Outcome]:
    return list(judge.outcomes(split_asserts(tuple(texts), "label", entry_point="f"), answer, limit_s=limit_s))


def kinds(judge: Judge, texts: list[str], answer: Answers, *, limit_s: float = 20.0) -> list[str]:
    return [outcome.kind for outcome in outcomes(judge, texts, answer, limit_s=limit_s)]


def returns(value: Any) -> Answers:
    return lambda request: ("value", value)


def test_asserts_are_judged_on_what_the_program_answers(judge: Judge) -> None:
    found = outcomes(judge, ["assert f(1, b=2) == 3", "assert f(0) == 4, 'not 4'"], returns(3))
    assert [(one.kind, one.message, one.last_answer) for one in found] == [
        ("passed", "", "3"),
        ("failed", "not 4", "3"),
    ]


def test_the_program_is_asked_by_name_with_its_arguments(judge: Judge) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> tuple[str, Any]:
        asked.append(request)
        return "value", [2, 1]

    assert kinds(judge, ["assert sorted(f([1], x={2: (3,)})) == [1, 2]"], answer) == ["passed"]
    assert asked == [Request("call", None, "f", [[1]], {"x": {2: (3,)}})]


@pytest.mark.parametrize("name", ["StopIteration", "GeneratorExit", "SystemExit", "KeyboardInterrupt", "Mine"])
def test_no_exception_of_the_programs_ends_a_loop_of_the_tests(judge: Judge, name: str) -> None:
    texts = [
        "for got, want in zip(map(f, [1, 2]), [1, 2]): assert got == want",
        "assert all(map(lambda x: f(x) == x, [1, 2]))",
    ]
    assert kinds(judge, texts, lambda request: ("raised", ([name], ""))) == ["raised", "raised"]


def test_a_test_sees_the_exception_that_it_expects(judge: Judge) -> None:
    text = "try:\n    f(-1)\n    assert False\nexcept ValueError as error:\n    assert 'negative' in str(error)"
    assert kinds(judge, [text], lambda request: ("raised", (["MyError", "ValueError", "Exception"], "negative"))) == [
        "passed"
    ]
    assert kinds(judge, [text], lambda request: ("raised", (["KeyError"], "negative"))) == ["raised"]


def test_no_test_goes_on_after_the_program_has_ended(judge: Judge) -> None:
    text = "try:\n    f(1)\nexcept Exception:\n    assert f\n"
    assert kinds(judge, [text], lambda request: ("ended", None)) == ["ended"]


@pytest.mark.parametrize("answer", [("object", (0, "Everything")), ("value", Opaque("Everything"))])
def test_an_object_of_the_programs_is_equal_to_nothing(judge: Judge, answer: tuple[str, Any]) -> None:
    texts = ["assert f() == 3", "assert 3 == f()", "assert f() in [1, 2]", "assert f() == None", "assert f() > 2"]
    assert set(kinds(judge, texts, lambda request: answer)) == {"failed", "raised"}


def test_an_object_that_is_no_plain_value_is_not_true(judge: Judge) -> None:
    assert kinds(judge, ["assert f()"], lambda request: ("object", (0, "Yes"))) == ["raised"]


def test_tests_build_objects_that_the_program_holds(judge: Judge) -> None:
    asked: list[tuple[str, Any, str, Any]] = []

    def answer(request: Request) -> tuple[str, Any]:
        asked.append((request.what, request.target, request.name, request.args))
        return ("object", (7, "Node")) if request.name == "Node" else ("value", 5)

    assert kinds(judge, ["node = Node(1)\nnode.left = None\nassert f(node) == node.size"], answer) == ["passed"]
    assert asked == [
        ("call", None, "Node", [1]),
        ("set", 7, "left", [None]),
        ("call", None, "f", [("\x00rayreward", "object", 7)]),
        ("get", 7, "size", []),
    ]


@pytest.mark.parametrize("text", ["assert f(lambda x: x) == 3", "class A: pass\nassert f(A()) == 3"])
def test_what_cannot_travel_is_the_tests_own_fault(judge: Judge, text: str) -> None:
    [found] = outcomes(judge, [text], returns(3))
    assert found.kind == "unsupported"


def test_what_the_program_gave_and_cannot_travel_is_not(judge: Judge) -> None:
    assert kinds(judge, ["assert f(f(1)) == 1"], returns(Opaque("Trick"))) == ["raised"]


@pytest.mark.parametrize(
    ("argument", "sent"),
    [
        ("int", ("\x00rayreward", "make", "builtins", "int", None)),
        ("Counter('aab')", ("\x00rayreward", "make", "collections", "Counter", [{"a": 2, "b": 1}])),
        ("range(3)", ("\x00rayreward", "make", "builtins", "range", [0, 3, 1])),
        ("iter([1])", ("\x00rayreward", "make", "builtins", "iter", [[1]])),
    ],
)
def test_classes_and_common_objects_travel(judge: Judge, argument: str, sent: Any) -> None:
    asked: list[Any] = []

    def answer(request: Request) -> tuple[str, Any]:
        asked.append(request.args)
        return "value", None

    assert kinds(judge, [f"assert f({argument}) is None"], answer)[-1] == "passed"
    assert asked == [[sent]]


def test_a_judge_that_is_late_is_killed(judge: Judge) -> None:
    pid: list[int] = []

    def answer(request: Request) -> tuple[str, Any]:
        pid.append(request.args[0])
        return "value", 10**9

    texts = ["import os\nassert f(os.getpid()) and [0 for _ in range(f(0))]", "assert f(1)"]
    found = outcomes(judge, texts, answer, limit_s=0.5)
    assert [one.kind for one in found] == ["late"]
    assert _ends(pid[0])


def _ends(pid: int) -> bool:
    for _ in range(500):
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.01)
    return False


def test_tests_know_nothing_of_the_environment_and_of_each_other(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Judge()
    monkeypatch.setenv("SECRET_TOKEN", "x")
    try:
        texts = ["import os, math\nmath.left = 1\nassert 'SECRET_TOKEN' not in os.environ and f() == 1"]
        assert kinds(fresh, texts, returns(1)) == ["passed"]
        assert kinds(fresh, ["import math\nassert not hasattr(math, 'left') and f() == 1"], returns(1)) == ["passed"]
    finally:
        fresh.close()


def test_tests_that_draw_their_cases_draw_the_same_ones(judge: Judge) -> None:
    drawn: list[Any] = []

    def answer(request: Request) -> tuple[str, Any]:
        drawn.append(request.args)
        return "value", 1

    for _ in range(2):
        kinds(judge, ["import random\nassert f(random.random())"], answer)
    assert drawn[0] == drawn[1]


def test_a_judge_that_dies_is_a_failure_and_the_next_sample_has_a_new_one(judge: Judge) -> None:
    with pytest.raises(GradingError, match="the judge's process ended") as caught:
        outcomes(judge, ["import os\nassert f() and os._exit(0)"], returns(1))
    assert caught.value.kind == "crashed"
    assert kinds(judge, ["assert f() == 1"], returns(1)) == ["passed"]


def test_a_judge_whose_process_was_killed_starts_again() -> None:
    judge = Judge()
    try:
        seen: list[int] = []

        def answer(request: Request) -> tuple[str, Any]:
            seen.append(request.args[0])
            return "value", 1

        assert kinds(judge, ["import os\nassert f(os.getppid())"], answer) == ["passed"]
        os.kill(seen[0], signal.SIGKILL)
        assert asyncio.run(is_gone(seen[0]))
        assert kinds(judge, ["assert f(1)"], answer) == ["passed"]
    finally:
        judge.close()


def test_closing_leaves_no_process() -> None:
    before = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
    judge = Judge()
    assert kinds(judge, ["assert f()"], returns(1)) == ["passed"]
    judge.close()
    assert {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)} <= before
