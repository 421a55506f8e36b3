"""Grades one program by its tests.

What arrives: a program's text and its tests. What leaves: a `Grade` with one result a test; a test that was not run has
not passed. What a program does, its endless loop and its memory among it, is a result; what is our own machinery's or
the tests' fault is a `GradingError`, and no result at all.

Whose fault it is when test code goes wrong: before the program was asked anything, the tests'; after that, the
program's, whose answers they then work on.
"""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rayreward.programs.assertions import Assertions, Equation, Step
from rayreward.programs.cases import CallCase, StdioCase, Tests
from rayreward.programs.comparison import Comparison, outputs_match, values_match
from rayreward.programs.errors import GradingError
from rayreward.programs.executor import Answering, Executor, Run
from rayreward.programs.judge import Judge, Outcome, Request
from rayreward.programs.languages import Language
from rayreward.programs.made import ProgramError, restored
from rayreward.programs.proxies import NoPlainValueError, travelling
from rayreward.programs.stub import ANSWER, MOST_NAMES, STUB
from rayreward.sandbox import Ended, Raised, Returned
from rayreward.sandbox.inside.codec import CodecError, encode
from rayreward.types import FailureKind

Verdict = Literal[
    "passed", "wrong_answer", "runtime_error", "timeout", "out_of_memory", "output_limit", "compile_error",
    "load_error", "ended", "not_run",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test; `test` is the beginning of what was asked."""

    verdict: Verdict
    detail: str = ""
    test: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.verdict, self.detail)))


@dataclass(frozen=True, slots=True)
class Grade:
    """One result a test, in order."""

    results: tuple[Result, ...]

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(result.verdict == "passed" for result in self.results)

    @property
    def fraction(self) -> float:
        """The share that passed."""
        return self.passed / len(self.results)


@dataclass(frozen=True, slots=True)
class GradingSettings:
    """How tests are run and compared.

    Attributes:
        test_s: seconds that one test may take: a run, or all calls of one assert.
        total_s: seconds for all tests of a program; those that it does not reach have not passed.
        stop_early: whether the first test that does not pass is the last that is run.
    """

    test_s: float = 6.0
    total_s: float = 60.0
    comparison: Comparison = "lines"
    float_tolerance: float | None = None
    stop_early: bool = False


def grade(
    source: str,
    tests: Tests,
    language: Language,
    *,
    executor: Executor,
    judge: Judge,
    settings: GradingSettings,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Grade:
    """The grade of one program.

    Raises:
        GradingError: it could not be found; the failure's kind is the error's.
    """
    budget = _Budget(settings.total_s, is_cancelled)
    try:
        source.encode()
    except UnicodeEncodeError:
        return _all(tests.count, Result("compile_error", "the program is no valid Unicode"))
    if tests.stdio:
        return _grade_runs(source, tests.stdio, language, executor, settings, budget)
    if language.name != "python":
        raise GradingError(
            FailureKind.INVALID_INPUT,
            f"calls and asserts are for Python; {language.name} is tested by input and output",
        )
    with _Program(source, executor, settings, budget) as program:
        if program.refusal is not None:
            return _all(tests.count, program.refusal)
        if tests.asserts is None:
            return _grade_calls(program, tests.calls, settings)
        if tests.asserts.equations:
            return _grade_calls(program, tests.asserts.equations, settings)
        return _grade_asserts(program, tests.asserts, judge, settings)


def _all(count: int, result: Result) -> Grade:
    return Grade((result,) * count)


class _Budget:
    """How much of a program's whole time is left."""

    def __init__(self, total_s: float, is_cancelled: Callable[[], bool]) -> None:
        self._until, self._is_cancelled = time.monotonic() + total_s, is_cancelled

    @property
    def left_s(self) -> float:
        """Nothing, where nobody waits any more."""
        return 0.0 if self._is_cancelled() else max(0.0, self._until - time.monotonic())


def _filled(results: list[Result], count: int, why: str) -> Grade:
    """The grade of `count` tests of which the last were not run."""
    return Grade((*results, *(Result("not_run", why) for _ in range(count - len(results)))))


_NO_TIME = "the time for all tests is over"
_STOPPED = "an earlier test did not pass"


def _grade_runs(
    source: str,
    cases: Sequence[StdioCase],
    language: Language,
    executor: Executor,
    settings: GradingSettings,
    budget: _Budget,
) -> Grade:
    run = executor.prepare(language, source)
    if isinstance(run, Run):
        return _all(len(cases), Result("compile_error", run.detail))
    results: list[Result] = []
    for case in cases:
        if not budget.left_s:
            return _filled(results, len(cases), _NO_TIME)
        results.append(_result_of(run(case.stdin), case, settings))
        if results[-1].verdict == "compile_error":  # one that compiles at every run
            return _all(len(cases), results[-1])
        if settings.stop_early and results[-1].verdict != "passed":
            return _filled(results, len(cases), _STOPPED)
    return Grade(tuple(results))


def _result_of(run: Run, case: StdioCase, settings: GradingSettings) -> Result:
    test = f"input {case.stdin!r:.60}"
    if run.status == "killed":
        return Result("runtime_error", run.detail or "killed", test)
    if run.status != "exited":
        return Result(run.status, run.detail, test)
    if run.was_cut:
        return Result("output_limit", "it printed more than is kept", test)
    if run.exit_code != 0:
        return Result("runtime_error", f"exit code {run.exit_code} {run.detail}".rstrip(), test)
    is_match = outputs_match(
        run.stdout, case.expected, comparison=settings.comparison, float_tolerance=settings.float_tolerance
    )
    detail = "" if is_match else f"printed {run.stdout!r:.80}, expected {case.expected!r:.80}"
    return Result("passed" if is_match else "wrong_answer", detail, test)


class _Program:
    """A Python program that answers, opened again when it has ended.

    Attributes:
        refusal: why it cannot be asked anything: it did not load.
    """

    def __init__(self, source: str, executor: Executor, settings: GradingSettings, budget: _Budget) -> None:
        self._source, self._executor, self._settings, self.budget = source + STUB, executor, settings, budget
        self._running: Answering | None = None
        self._has_objects = False
        self._spent_s = 0.0
        self._ending: Result | None = None
        self.refusal: Result | None = None
        self._open()

    def _open(self) -> None:
        self._running = self._executor.open(self._source)
        loaded = self._running.loaded
        if isinstance(loaded, Raised):
            where = f" (line {loaded.line})" if loaded.line is not None else ""
            self.refusal = Result("load_error", f"{loaded.type_name}: {loaded.message}{where}"[:300])
        elif isinstance(loaded, Ended):
            self.refusal = Result(_verdict_of(loaded), f"while it loaded {loaded.finished.note}".rstrip())

    def next_test(self) -> Result | None:
        """Give the next test its time; returns how the program ended during the last one, if it did."""
        ending, self._ending, self._spent_s = self._ending, None, 0.0
        return ending

    def call(self, request: Request) -> Returned | Raised | Ended | None:
        """Ask the program; None where it has ended and cannot be asked again within this test."""
        if self._ending is not None:
            return None
        if self._running is None:
            self._open()
            if self.refusal is not None:  # it loaded once, and does not now
                self._ending, self.refusal, self._running = self.refusal, None, None
                return None
        within_s = min(self._settings.test_s - self._spent_s, self.budget.left_s)
        began = time.monotonic()
        answer: Returned | Raised | Ended | None = None
        if within_s > 0 and self._running is not None:
            arguments = (request.what, request.target, request.name, request.args, request.kwargs)
            answer = self._running.call(ANSWER, arguments, {}, within_s=within_s)
        self._spent_s += time.monotonic() - began
        if answer is None or isinstance(answer, Ended):
            verdict = "timeout" if answer is None else _verdict_of(answer)
            self._ending = Result(verdict, "" if answer is None else answer.finished.note)
            if not self._has_objects:
                self._drop()  # the next test gets a fresh one
        return answer

    def holds_objects(self) -> None:
        """Objects of this process are known to the tests: another process could not stand in for it."""
        self._has_objects = True

    def _drop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()


def _verdict_of(ended: Ended) -> Verdict:
    how = ended.finished.ended
    return how if how in ("timeout", "out_of_memory") else "ended"


def _grade_calls(program: _Program, cases: Sequence[CallCase | Equation], settings: GradingSettings) -> Grade:
    results: list[Result] = []
    for case in cases:
        if not program.budget.left_s:
            return _filled(results, len(cases), _NO_TIME)
        results.append(_call_result(program, case, settings))
        if settings.stop_early and results[-1].verdict != "passed":
            return _filled(results, len(cases), _STOPPED)
    return Grade(tuple(results))


def _call_result(program: _Program, case: CallCase | Equation, settings: GradingSettings) -> Result:
    test = case.source if isinstance(case, Equation) else f"{case.function}{case.args!r:.80}"
    try:
        args, kwargs = travelling(list(case.args)), travelling(dict(case.kwargs))
    except (NoPlainValueError, RecursionError) as error:
        raise GradingError(FailureKind.INVALID_INPUT, f"the arguments of {test} cannot travel: {error}") from error
    request = Request("call", None, case.function, args, kwargs)
    answer = program.call(request)
    ending = program.next_test()
    if ending is not None:
        return Result(ending.verdict, ending.detail, test)
    _check_was_sent(answer, request, test)
    kind, value = _answer_of(answer)
    if kind == "raised":
        return Result("runtime_error", f"{value[0][0]}: {value[1]}"[:200], test)
    if kind == "made":
        try:
            kind, value = "value", restored(value)
        except ProgramError as error:
            return Result("wrong_answer", str(error), test)
    if isinstance(case, Equation):
        # As the assert itself would say: of plain values, == runs no code but Python's.
        is_match, expected = kind == "value" and bool(value == case.expected), case.expected
    else:
        tolerance, expected = settings.float_tolerance, case.accepted[0]
        is_match = kind == "value" and any(values_match(value, one, float_tolerance=tolerance) for one in case.accepted)
    detail = "" if is_match else f"returned {_short(value)}, expected {_short(expected)}"
    return Result("passed" if is_match else "wrong_answer", detail, test)


def _short(value: Any) -> str:
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # a number of more digits than Python prints
        return f"a huge {type(value).__name__}"


def _answer_of(answer: Returned | Raised | Ended | None) -> tuple[str, Any]:
    """A program's answer as test code is told it; see `rayreward.programs.proxies.Ask`."""
    if answer is None or isinstance(answer, Ended):
        return "ended", None
    if isinstance(answer, Raised):
        return "raised", ([answer.type_name], answer.message)
    match answer.value:
        case ["raised", [list(names), str(message)]] if 0 < len(names) <= MOST_NAMES and _are_texts(names):
            return "raised", (names, message)
        case ["changed", [list(args), dict(kwargs)]]:
            return "changed", (args, kwargs)
        case ["awaited", value]:
            kind, value = _value_of(value)
            return ("awaited", (kind, value)) if kind != "raised" else (kind, value)
    return _value_of(answer.value)


def _value_of(answer: Any) -> tuple[str, Any]:
    match answer:
        case ["value", value]:
            return "value", value
        case ["made", value]:
            return "made", value
        case ["object", [int(number), str(name)]]:
            return "object", (number, name)
    return "raised", (["TypeError"], "what answers calls was changed")


def _are_texts(names: list[Any]) -> bool:
    return all(type(name) is str for name in names)


def _check_was_sent(answer: Returned | Raised | Ended | None, request: Request, test: str) -> None:
    """Tell what the tests send and cannot be sent from a program that says so.

    Raises:
        GradingError: the arguments are too many, too large or too deep.
    """
    if not isinstance(answer, Raised) or answer.type_name != "CodecError":
        return
    try:
        encode((0, ANSWER, (request.what, request.target, request.name, request.args, request.kwargs), {}))
    except CodecError as error:
        raise GradingError(FailureKind.INVALID_INPUT, f"the arguments of {test:.120} cannot be sent: {error}") from None


def _grade_asserts(program: _Program, asserts: Assertions, judge: Judge, settings: GradingSettings) -> Grade:
    is_first = True

    def ask(request: Request) -> tuple[str, Any]:
        nonlocal is_first
        answer = program.call(request)
        if is_first:  # later ones may be made of what the program has answered
            _check_was_sent(answer, request, request.name)
        is_first = False
        kind, value = _answer_of(answer)
        if kind == "object" or (kind == "awaited" and value[0] == "object"):
            program.holds_objects()
        return kind, value

    results: list[Result] = []
    why, count = _STOPPED, asserts.count
    outcomes = judge.outcomes(asserts, ask, limit_s=settings.test_s)
    for step, outcome in zip(asserts.steps, outcomes, strict=False):
        ending = program.next_test()
        result = _step_result(step, outcome, ending)
        count += result.verdict != "passed" and not step.is_test  # what only prepares counts where it fails
        if step.is_test or result.verdict != "passed":
            results.append(result)
        if outcome.kind == "late":
            why = "the tests took too long on what the program had returned"
            break
        if not program.budget.left_s:
            why = _NO_TIME
            break
        if settings.stop_early and result.verdict != "passed":
            break
    outcomes.close()
    return _filled(results, count, why)


def _step_result(step: Step, outcome: Outcome, ending: Result | None) -> Result:
    if outcome.kind == "unsupported":
        raise GradingError(
            FailureKind.INVALID_INPUT,
            f"a test hands the program a {outcome.message}, which cannot leave its process; found {step.source!r}",
        )
    if ending is not None:
        return Result(ending.verdict, ending.detail, step.source)
    if outcome.kind == "passed":
        return Result("passed", "", step.source)
    if not outcome.asked:
        raise GradingError(
            FailureKind.TIMEOUT if outcome.kind == "late" else FailureKind.INVALID_INPUT,
            f"the tests fail before they ask the program anything: {outcome.message or outcome.kind}; "
            f"found {step.source!r}",
        )
    answer = f"the last answer was {outcome.last_answer}" if outcome.last_answer else ""
    if outcome.kind == "failed":
        return Result("wrong_answer", "; ".join(filter(None, (outcome.message, answer))), step.source)
    verdict: Verdict = "timeout" if outcome.kind == "late" else "runtime_error"
    return Result(verdict, outcome.message, step.source)
