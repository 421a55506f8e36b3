"""Does the program in the response pass its tests?

What arrives: responses with programs, and tests in the label or the metadata. What leaves: the share of tests passed,
or all or nothing. Programs run in a sandbox and never see a test; see `rayreward.programs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

from rayreward.boundary import AUTHORS_ERRORS, Answer, outputs_of
from rayreward.errors import ConfigError, InvalidInputError, RewardLoadError, SandboxError, did_you_mean, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.outcome import failed_output
from rayreward.programs.cases import read_tests
from rayreward.programs.comparison import Comparison
from rayreward.programs.errors import GradingError
from rayreward.programs.executor import Executor, RunLimits, SandboxExecutor
from rayreward.programs.extraction import Choice, extract_program
from rayreward.programs.grading import Grade, GradingSettings, grade
from rayreward.programs.judge import Judge
from rayreward.programs.languages import LANGUAGES, Language
from rayreward.sample import Sample, Trajectory
from rayreward.sandbox import Sandbox, Tier
from rayreward.thinking import split_thinking
from rayreward.types import FailureKind, MetricRewardOutput, RewardOutput

_MAX_PARALLEL = 16
"""Programs at once by default, where there are more cores: each may take a gigabyte."""

_MARGIN_S = 30.0
"""Beyond a sample's own limits: what the machinery itself may take before a caller gives up on it."""


class CodeExecutionReward(RewardFunction):
    r"""The share of tests that the response's program passes. Range [0, 1].

    The program is the last fenced block of the language, or the whole response where it has no fence. Tests come from
    the label, or from the metadata where the label is None, in the forms of `rayreward.programs.cases`: asserts
    (HumanEval, MBPP), standard input and output (APPS, TACO, LiveCodeBench), calls with their values.

    A program runs in a sandbox and is sent arguments or input, nothing else. Its values come back as plain ones and
    are judged in another process. A test fails where the program is wrong, raises, exits early, prints too much, or
    exceeds its time or memory; that is a result. Trouble of the sandbox is a failure, never a 0. Asserts of a list, and
    those at the top of ``check(candidate)``, count one by one; a loop in there counts as one test.

    Source: HumanEval (arXiv 2107.03374), MBPP (arXiv 2108.07732), APPS (arXiv 2105.09938). A trivial program costs 3.5
    ms of CPU, 6 ms where its asserts are more than equations of literals, and then its own time.

    What games it: tests that are too few or too weak. Tests that use the program's own helpers trust these, unless the
    label's ``prompt`` defines them. An object of the program's own class equals itself only, and arguments are seen to
    change only where a test uses no value of the call.

    Args:
        language: python, javascript, cpp or bash; the metadata's ``language`` goes before it. Asserts and calls are
            for Python.
        score: "fraction", or "all" for 1.0 where every test passes and else 0.0.
        time_limit_s: seconds of one test, and of loading a program.
        total_limit_s: seconds of all tests of a program; tests beyond it have not passed.
        compile_limit_s: seconds of a compilation.
        memory_bytes: memory of a program.
        output_bytes: of its standard output; a program that prints more fails the test.
        comparison: of output: "lines", "tokens" or "exact"; see `rayreward.programs.comparison`.
        float_tolerance: what numbers in output and values of calls may differ by.
        extract: which fenced blocks are the program: "last", "first", "all", or "whole" for the response as it is.
        part: "answer", in which no program of the thinking counts, or the whole "response".
        stop_early: whether to stop at the first test that does not pass; by default where score is "all".
        parallel: programs at once; by default as many as there are cores, at most 16.
        least_tier: what isolation is refused: see `rayreward.sandbox.Tier`.
        executor: "sandbox" on this machine, or "remote".
        url: with ``executor="remote"``, the root of a SandboxFusion-compatible service.
        max_program_chars: a longer program scores 0 and is not run.

    Raises:
        ConfigError: an argument that cannot work.

    Example:
        >>> reward = CodeExecutionReward()
        >>> answer = "```python\ndef add(a, b): return a + b\n```"
        >>> reward(response=answer, label=["assert add(1, 2) == 3", "assert add(1, 1) == 3"]).score
        0.5
    """

    isolation: Isolation = "inline"  # what is dangerous runs in processes of the sandbox's and the judge's
    answers_each = True
    only_waits = False
    name = "code_execution"

    def __init__(
        self,
        *,
        language: str = "python",
        score: Literal["fraction", "all"] = "fraction",
        time_limit_s: float = 6.0,
        total_limit_s: float = 60.0,
        compile_limit_s: float = 30.0,
        memory_bytes: int = 2**30,
        output_bytes: int = 2**20,
        comparison: Comparison = "lines",
        float_tolerance: float | None = None,
        extract: Choice = "last",
        part: Literal["answer", "response"] = "answer",
        stop_early: bool | None = None,
        parallel: int | None = None,
        least_tier: str = "landlock",
        executor: Literal["sandbox", "remote"] = "sandbox",
        url: str | None = None,
        max_program_chars: int = 200_000,
    ) -> None:
        _check_choice("language", language, LANGUAGES)
        _check_choice("score", score, ("fraction", "all"))
        _check_choice("comparison", comparison, get_args(Comparison))
        _check_choice("extract", extract, get_args(Choice))
        _check_choice("part", part, ("answer", "response"))
        _check_choice("executor", executor, ("sandbox", "remote"))
        _check_choice("least_tier", least_tier, [str(tier) for tier in Tier])
        numbers = {
            "time_limit_s": time_limit_s, "total_limit_s": total_limit_s, "compile_limit_s": compile_limit_s,
            "memory_bytes": memory_bytes, "output_bytes": output_bytes, "max_program_chars": max_program_chars,
            "parallel": 1 if parallel is None else parallel,
        }  # fmt: skip
        for what, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
                raise ConfigError(f"code_execution({what}={shown(number)}): a number above 0 is needed")
        if float_tolerance is not None and not 0 <= float_tolerance < 1:
            raise ConfigError(f"code_execution(float_tolerance={shown(float_tolerance)}): from 0 to below 1 is needed")
        if (executor == "remote") != (url is not None) or (url is not None and "://" not in url):
            raise ConfigError(
                f"code_execution(executor={executor!r}, url={shown(url)}): a remote executor needs the service's "
                f"http:// address, and the sandbox none"
            )
        self.language, self.scoring, self.extract, self.part = language, score, extract, part
        self.least_tier, self.executor, self.url = least_tier, executor, url
        self.max_program_chars = max_program_chars
        self.limits = RunLimits(time_limit_s, compile_limit_s, memory_bytes, output_bytes)
        self.settings = GradingSettings(
            time_limit_s,
            total_limit_s,
            comparison,
            float_tolerance,
            score == "all" if stop_early is None else stop_early,
        )
        self._parallel = parallel or min(len(os.sched_getaffinity(0)), _MAX_PARALLEL)
        self.timeout_s = total_limit_s + compile_limit_s + 2 * time_limit_s + _MARGIN_S
        self._lock = threading.Lock()
        self._machinery: _Machinery | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_machinery": None, "_lock": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def load(self) -> None:
        """Start the sandbox.

        Raises:
            RewardLoadError: nothing here isolates as strongly as `least_tier`; the message says what to do.
        """
        try:
            self._started().executor.start()
        except (SandboxError, GradingError) as error:
            raise RewardLoadError(f"code_execution: {error}") from error

    def close(self) -> None:
        """End the sandbox and the judge; a later call starts new ones. It happens by itself at the end."""
        with self._lock:
            machinery, self._machinery = self._machinery, None
        if machinery is not None:
            machinery.close()

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Grade `samples`, `parallel` at a time."""
        return await outputs_of(self, samples)

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as it is known."""
        loop, nobody_waits = asyncio.get_running_loop(), threading.Event()
        threads = self._started().threads

        async def grade_one(at: int, sample: Sample) -> None:
            answer(at, await loop.run_in_executor(threads, self._score, sample, nobody_waits))

        try:
            await asyncio.gather(*map(grade_one, range(len(samples)), samples))
        finally:
            nobody_waits.set()

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The grade of one sample."""
        return (await self.ascore([trajectory]))[0]

    def _started(self) -> _Machinery:
        with self._lock:
            if self._machinery is None:
                self._machinery = _Machinery(self._build_executor(), self._parallel)
            return self._machinery

    def _build_executor(self) -> Executor:
        if self.url is not None:
            from rayreward.programs.remote import RemoteExecutor  # httpx, which a sandbox does not need

            return RemoteExecutor(self.url, self.limits)
        return SandboxExecutor(Sandbox(least_tier=Tier(self.least_tier)), self.limits)

    def _score(self, sample: Sample, nobody_waits: threading.Event) -> RewardOutput:
        """One sample's output, on a thread."""
        if nobody_waits.is_set():
            return RewardOutput.failed(FailureKind.CANCELLED, "nobody waited for it any more")
        try:
            return self._grade(sample, nobody_waits)
        except GradingError as error:
            return RewardOutput.failed(error.kind, str(error)[:2000])
        except SandboxError as error:
            return RewardOutput.failed(FailureKind.UNAVAILABLE, f"the sandbox does not work: {error}"[:2000])
        except AUTHORS_ERRORS as error:  # the boundary: a data set's label may be anything
            return failed_output(error)

    def _grade(self, sample: Sample, nobody_waits: threading.Event) -> RewardOutput:
        tests = read_tests(sample.label, sample.metadata)
        language = self._language_of(sample)
        text = split_thinking(sample.response).answer if self.part == "answer" else sample.response
        source = extract_program(text, language.tags, choice=self.extract)
        about = {"language": language.name, "tests": tests.count}
        if source is None:
            return RewardOutput(0.0, {"tests": 0.0}, reason=f"no {language.name} program found", metadata=about)
        if len(source) > self.max_program_chars:
            reason = f"the program has {len(source)} characters, at most {self.max_program_chars} are run"
            return RewardOutput(0.0, {"tests": 0.0}, reason=reason, metadata=about)
        machinery = self._started()
        found = grade(
            source,
            tests,
            language,
            executor=machinery.executor,
            judge=machinery.judge,
            settings=self.settings,
            is_cancelled=nobody_waits.is_set,
        )
        return self._output_of(found, {**about, **machinery.executor.description})

    def _language_of(self, sample: Sample) -> Language:
        asked = sample.metadata.get("language")
        if asked is None:
            return LANGUAGES[self.language]
        word = asked.lower() if isinstance(asked, str) else ""
        for language in LANGUAGES.values():
            if word == language.name or word in language.tags:
                return language
        raise InvalidInputError(
            f"code_execution: metadata['language'] must be one of {', '.join(LANGUAGES)}, found {shown(asked)}"
        )

    def _output_of(self, found: Grade, about: Mapping[str, Any]) -> RewardOutput:
        count = len(found.results)
        reason = f"{found.passed} of {count} tests passed"
        failed = [(at, result) for at, result in enumerate(found.results) if result.verdict != "passed"]
        if failed:
            at, result = failed[0]
            reason += f"; test {at + 1}: {result}" + (f" [{result.test}]" if result.test else "")
        score = found.fraction if self.scoring == "fraction" else float(not failed)
        verdicts = [result.verdict for result in found.results]
        runs = float(not {"compile_error", "load_error"} & {*verdicts})
        metrics = {"tests": MetricRewardOutput(found.fraction, reason), "runs": MetricRewardOutput(runs)}
        return RewardOutput(
            score, metrics, reason=reason, metadata={**about, "passed": found.passed, "verdicts": verdicts[:100]}
        )


class _Machinery:
    """What a reward has started: it ends with the reward, or with this process."""

    def __init__(self, executor: Executor, parallel: int) -> None:
        self.executor, self.judge = executor, Judge()
        self.threads = ThreadPoolExecutor(parallel, thread_name_prefix="rayreward-code")
        self._finalizer = weakref.finalize(self, _close, self.executor, self.judge, self.threads)

    def close(self) -> None:
        self._finalizer()


def _close(executor: Executor, judge: Judge, threads: ThreadPoolExecutor) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    with contextlib.suppress(Exception):
        executor.close()
    judge.close()


def _check_choice(what: str, found: Any, known: Sequence[str] | Mapping[str, Any]) -> None:
    if not isinstance(found, str) or found not in known:
        raise ConfigError(f"code_execution({what}={shown(found)}): {did_you_mean(str(found), known)}")
