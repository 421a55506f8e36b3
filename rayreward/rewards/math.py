"""Is the response's final answer the right one, mathematically?"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

from rayreward.boundary import Answer
from rayreward.errors import ConfigError, InvalidInputError, did_you_mean, shown
from rayreward.forking import Answered, Fault, FaultKind, ForkPool
from rayreward.function import Isolation, RewardFunction
from rayreward.grading.comparison import Terms, Verdict
from rayreward.grading.exact import compare
from rayreward.grading.extract import DEFAULT_FORMS, FORMS, MAX_ANSWER_CHARS, Form, boxes, extract_answer, tidied
from rayreward.grading.verify import PRELOAD, is_installed
from rayreward.outcome import failed_output
from rayreward.sample import Sample, Trajectory
from rayreward.types import FailureKind, MetricRewardOutput, RewardOutput

_DEADLINE_SHARE = 0.9
"""Of `timeout_s`, for math-verify: its answer must be back before the runner that waits for all of this gives up."""

_MEMORY_BYTES = 512 << 20
"""What one call of math-verify may take; ordinary ones take a few megabytes."""

_ASKED_CHARS = 300
"""Of an answer that math-verify is asked about; a right one that is neither short nor readable here was not seen."""

_ASKED_GOLDS = 4
"""How many times the gold answer's length an answer may have that math-verify is asked about, where that is more."""

_KEPT_OUTPUTS = 8_192
"""Outputs kept for the same answer to the same label: the samples of a group share a few. About 10 MB."""

_SHOWN_CHARS = 80
"""Of an answer, in a reason."""

_MARKS = {is_so: MetricRewardOutput(float(is_so), weight=0.0) for is_so in (True, False)}
"""Components that tell something and weigh nothing."""

_UNDECIDED = RewardOutput.failed(FailureKind.ERROR, "math-verify was not asked; this is a bug in rayreward")
"""What stands for an output until there is one."""

_FAILURES = {
    FaultKind.TIMEOUT: FailureKind.TIMEOUT,
    FaultKind.CRASHED: FailureKind.CRASHED,
    FaultKind.OUT_OF_MEMORY: FailureKind.CRASHED,
}


_Key = tuple[str | tuple[str, ...], str]
"""The gold answer, or all where there are several, and the given one."""


class _Asked(NamedTuple):
    """An answer that exact arithmetic left open, the gold ones that it may equal, and what its output is kept by."""

    golds: tuple[str, ...]
    given: str
    reason: str
    key: _Key | None


class MathReward(RewardFunction):
    r"""1 where the response's final answer equals the label, else 0.

    The answer is read as mathematics and compared exactly: fractions, decimals, roots, pi, polynomials, lists and
    sets in any order, points, intervals and unions, matrices, equations, percentages, units, bases, letters of
    multiple choice. What that cannot decide is asked of ``math-verify``, in a process that is killed at the deadline.
    The components say which of the two decided and why: `correct` is the score, `answered` is 0 where the response
    has no answer, `symbolic` is 1 where math-verify was asked.

    A hedge (``5 \text{ or } 12``), two values where one is right, a contradiction (``12 = 13``) and an answer of more
    than 1,000 characters score 0, and so does a response without an answer: the reason says which. An answer that
    math-verify does not decide in time is no 0 but a `timeout` failure: nobody knows whether it is right.

    A unit that the label lacks is no matter, another one is. 50 % is neither 50 nor 0.5, unless the prompt asks for a
    percentage: then 50 and 50 % are the same. What games it: a label that is easy to guess, and an expression of the
    right value that is not worked out (``2 + 3`` for 5). Cost: 0.05 ms a sample; 5 ms where math-verify is asked.
    Source: the conventions of MATH (Hendrycks et al. 2021), GSM8K (Cobbe et al. 2021) and OlympiadBench (He et al.
    2024).

    Args:
        extract: where answers are looked for: the first of these forms that the response has, the last one of it.
            "boxed" (``\boxed{…}``, ``\fbox{…}``), "hashes" (``#### …``), "answer" (``the answer is …``, a line
            ``Answer: …`` or ``A: …``), "last_number".
        relative_tolerance: share of the right number that a number may be off; 0 compares exactly.
        absolute_tolerance: how much it may be off.
        refuse_several_boxes: 0 for a response whose boxes hold different answers; else the last counts.
        symbolic: whether math-verify is asked; without it what exact arithmetic cannot prove scores 0.
        workers: how many processes may be busy with math-verify at once.

    Raises:
        ConfigError: an unknown form, a tolerance below 0, or math-verify is not installed.

    Raises (as failures of the sample):
        invalid_input: the label is missing or holds no answer. A list holds answers of which each is right.
        timeout, crashed: of math-verify.

    Example:
        >>> reward = MathReward()
        >>> reward(response=r"So it is $\boxed{\dfrac12}$.", label="0.5").score
        1.0
        >>> reward(response=r"\boxed{5\text{ or }12}", label="5").reason
        'exact: 2 values where 1 is right (answered 5\\text{ or }12, right is 5)'
    """

    isolation: Isolation = "thread"
    answers_each = True
    deterministic = True
    name = "math"
    timeout_s = 5.0

    _pool: ForkPool | None = None
    _threads: ThreadPoolExecutor | None = None

    def __init__(
        self,
        extract: Sequence[Form] = DEFAULT_FORMS,
        *,
        relative_tolerance: float = 0.0,
        absolute_tolerance: float = 0.0,
        refuse_several_boxes: bool = False,
        symbolic: bool = True,
        workers: int = 16,
    ) -> None:
        self.extract = _checked_forms(extract)
        self.relative_tolerance = _checked_tolerance("relative_tolerance", relative_tolerance)
        self.absolute_tolerance = _checked_tolerance("absolute_tolerance", absolute_tolerance)
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ConfigError(f"MathReward(workers={workers!r}): a whole number of at least 1 is needed")
        self._usual_terms = Terms(self.relative_tolerance, self.absolute_tolerance)
        self._kept: dict[_Key, RewardOutput] = {}
        self.refuse_several_boxes, self.symbolic, self.workers = refuse_several_boxes, symbolic, workers
        if symbolic and not is_installed():
            raise ConfigError(
                "MathReward needs math-verify: pip install 'rayreward[math]', or give symbolic=False to do without"
            )

    def load(self) -> None:
        """Start the process that math-verify's are forked from."""
        if self.symbolic:
            self._started_pool().start()

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """1 or 0, both answers, and which path decided."""
        begun = self._begin_grading(trajectory)
        if isinstance(begun, RewardOutput):
            return begun
        outputs = [_UNDECIDED]
        self._ask({0: begun}, outputs.__setitem__)
        return outputs[0]

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order; what exact arithmetic leaves open is asked of math-verify together."""
        outputs = [_UNDECIDED] * len(samples)
        await self.answer_each(samples, outputs.__setitem__)
        return outputs

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as it is known: a hostile answer holds up no other.

        Args:
            samples: what to score.
            answer: called with a position and its output, on whatever thread knows it.
        """
        asked: dict[int, _Asked] = {}
        for at, sample in enumerate(samples):
            begun = self._begin_guarded(sample)
            if isinstance(begun, _Asked):
                asked[at] = begun
            else:
                answer(at, begun)
        if asked:
            await asyncio.get_running_loop().run_in_executor(self._own_threads(), self._ask, asked, answer)

    def close(self) -> None:
        """End the processes; they also end with this reward, and with the process that it is in."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __getstate__(self) -> dict[str, Any]:
        """Without processes and threads: they belong to this one."""
        state = {key: value for key, value in super().__getstate__().items() if key not in ("_pool", "_threads")}
        return {**state, "_kept": {}}

    def _begin_guarded(self, sample: Sample) -> RewardOutput | _Asked:
        try:
            return self._begin_grading(sample)
        except Exception as error:  # noqa: BLE001 - the boundary: a missing label, or a mistake of ours, is one sample's
            return failed_output(error)

    def _begin_grading(self, sample: Sample) -> RewardOutput | _Asked:
        """The output where exact arithmetic decides, else what is to be asked of math-verify."""
        label = sample.label
        gold = _gold_from_text(label) if type(label) is str else _gold_answers(label)
        found = extract_answer(sample.response, self.extract)
        if found is None or not found.text:
            return _output(False, "no answer", f"no {', '.join(self.extract)} found", is_answered=False)
        if found.excess_chars:
            reason = f"an answer of {found.excess_chars} characters, more than {MAX_ANSWER_CHARS}"
            return _output(False, "exact", reason)
        if self.refuse_several_boxes and found.form == "boxed":
            others = {tidied(box) for box in boxes(sample.response)}
            if any(not compare(found.text, other).is_equal for other in others):
                return _output(False, "exact", f"{len(others)} boxes with different answers")
        key = (gold, found.text)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        golds = (gold,) if isinstance(gold, str) else gold
        if "%" in found.text or "percent" in found.text or "%" in "".join(golds):
            # Only percentages depend on the question, and so are not kept.
            terms = Terms(self.relative_tolerance, self.absolute_tolerance, sample.prompt or "")
            return self._decide(golds, found.text, terms, None)
        return self._decide(golds, found.text, self._usual_terms, key)

    def _decide(self, golds: tuple[str, ...], given: str, terms: Terms, key: _Key | None) -> RewardOutput | _Asked:
        verdicts = [compare(gold, given, terms) for gold in golds]
        verdict, gold = verdicts[0], golds[0]
        if len(golds) > 1:
            verdict, gold = max(zip(verdicts, golds, strict=True), key=lambda pair: _rank(pair[0]))
        answers = f"answered {_short(given)}, right is {_short(gold)}"
        limit = max(_ASKED_CHARS, _ASKED_GOLDS * len(gold))
        if verdict.is_equal is None and self.symbolic and len(given) <= limit:
            still_open = tuple(gold for one, gold in zip(verdicts, golds, strict=True) if one.is_equal is None)
            return _Asked(still_open, given, answers, key)
        reason = verdict.reason
        if verdict.is_equal is None:
            reason += f", in more than {limit} characters" if self.symbolic else "; math-verify is not asked"
        output = _output(bool(verdict.is_equal), "exact", f"{reason} ({answers})")
        return output if key is None else self._keep(key, output)

    def _ask(self, asked: Mapping[int, _Asked], answer: Answer) -> None:
        """math-verify's verdicts, one each; every gold answer of every sample is a call of its own."""
        askers: dict[_Asked, list[int]] = {}  # samples of a group agree often
        for at, one in asked.items():
            askers.setdefault(one, []).append(at)
        calls = [(one, gold) for one in askers for gold in one.golds]
        results: dict[_Asked, dict[int, Answered | Fault]] = {one: {} for one in askers}

        def note(call: int, result: Answered | Fault) -> None:
            one, _ = calls[call]
            known = results[one]
            known[call] = result
            if len(known) == len(one.golds):
                output = _judged(one, [known[at] for at in sorted(known)])
                if output.is_valid and one.key is not None:
                    self._keep(one.key, output)
                for at in askers[one]:
                    answer(at, output)

        pairs = [(gold, one.given) for one, gold in calls]
        self._started_pool().run(pairs, deadline_s=self.timeout_s * _DEADLINE_SHARE, on_result=note)

    def _keep(self, key: _Key, output: RewardOutput) -> RewardOutput:
        if len(self._kept) >= _KEPT_OUTPUTS:
            self._kept.clear()
        self._kept[key] = output
        return output

    def _own_threads(self) -> ThreadPoolExecutor:
        """Threads that wait for processes: asyncio's own are few, and a hung answer would hold up others' files."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(2 * self.workers, thread_name_prefix="rayreward-math")
        return self._threads

    def _started_pool(self) -> ForkPool:
        if self._pool is None:
            pool = ForkPool(
                "rayreward.grading.verify:verify",
                preload=PRELOAD,
                memory_bytes=_MEMORY_BYTES,
                most_workers=self.workers,
                idle_workers=min(2, self.workers),
            )
            weakref.finalize(self, pool.close)
            self._pool = pool
        return self._pool


def _checked_forms(extract: Sequence[Form]) -> tuple[Form, ...]:
    if isinstance(extract, str) or not extract:
        raise ConfigError(f"MathReward(extract={extract!r}): a list of forms is needed; {did_you_mean('', FORMS)}")
    for form in extract:
        if form not in FORMS:
            raise ConfigError(f"MathReward(extract=[{form!r}]): {did_you_mean(str(form), FORMS)}")
    return tuple(extract)


def _checked_tolerance(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigError(f"MathReward({name}={value!r}): a finite number of at least 0 is needed")
    return float(value)


def _gold_answers(label: Any) -> tuple[str, ...]:
    """The answers that are right, each by itself.

    Raises:
        InvalidInputError: there is none.
    """
    listed = label if isinstance(label, (list, tuple)) else [label]
    golds = tuple(_gold_answer(one) for one in listed if one is not None)
    if not golds:
        raise InvalidInputError("math needs the right answer in 'label', found none")
    return golds


def _gold_answer(label: Any) -> str:
    if isinstance(label, float) and not math.isfinite(label):
        raise InvalidInputError(f"math needs the right answer in 'label', found {label}")
    if isinstance(label, (dict, set, bytes)):
        raise InvalidInputError(f"math needs the right answer in 'label' as text or a number, found {shown(label)}")
    return _gold_from_text(str(label))


@lru_cache(maxsize=4_096)
def _gold_from_text(label: str) -> str:
    """The answer of a label, which may be a whole solution.

    Raises:
        InvalidInputError: it holds none.
    """
    found = extract_answer(label, DEFAULT_FORMS)
    gold = tidied(label) if found is None else found.text
    if not gold or (found is not None and found.excess_chars) or len(gold) > MAX_ANSWER_CHARS:
        raise InvalidInputError(
            f"math needs the right answer in 'label', of at most {MAX_ANSWER_CHARS} characters; found {shown(label)}"
        )
    return gold


def _rank(verdict: Verdict) -> int:
    return {True: 2, None: 1, False: 0}[verdict.is_equal]


def _judged(asked: _Asked, results: Sequence[Answered | Fault]) -> RewardOutput:
    values = [result.value for result in results if isinstance(result, Answered)]
    if True in values:
        return _output(True, "math-verify", f"equal ({asked.reason})")
    for result in results:
        if isinstance(result, Fault):
            kind = _FAILURES.get(result.kind, FailureKind.ERROR)
            return RewardOutput.failed(kind, f"math-verify: {result.message} ({asked.reason})")
    reason = "cannot be read as mathematics" if None in values else "not equal"
    return _output(False, "math-verify", f"{reason} ({asked.reason})")


def _output(is_correct: bool, path: str, reason: str, *, is_answered: bool = True) -> RewardOutput:
    reason, score = f"{path}: {reason}", 1.0 if is_correct else 0.0
    metrics = {
        "correct": MetricRewardOutput.checked(score, reason),
        "answered": _MARKS[is_answered],
        "symbolic": _MARKS[path == "math-verify"],
    }
    return RewardOutput.checked(score, metrics, reason)


def _short(text: str) -> str:
    """An answer for a reason, cut, and without what no encoding takes."""
    if len(text) > _SHOWN_CHARS:
        text = f"{text[:_SHOWN_CHARS]}…"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
