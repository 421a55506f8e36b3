"""What does the reward make of what no data set holds and every policy writes sooner or later?

What arrives: a subject. What leaves: a case an input. A score or a failure of a kind is an answer; a hang, a dead
process or an answer that is no score is wrong. An exception is worth a note: the sample fails, and trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.checking.report import Finding, HostileCase, Level, printable
from rayreward.checking.subject import NOT_TRIED, PATIENCE, Subject, is_fatal
from rayreward.checking.variants import with_label, with_prompt, with_response
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

_HUGE = 1_000_000
"""Characters: what a policy that repeats itself until its limit comes near to, times ten."""

_DEEP = 100_000
"""Open brackets: beyond any parser's stack."""

_LABEL_DEPTH = 100
"""Lists within lists in a label: still readable, and deeper than a recursive grader should follow."""


@dataclass(frozen=True)
class Hostile:
    """An input.

    Attributes:
        change: makes a real sample into it.
        is_shared: whether the rest of the sample's group changes along: the members of a group have one prompt.
    """

    name: str
    change: Callable[[Sample], Sample]
    is_shared: bool = False


def _response(name: str, text: str) -> Hostile:
    return Hostile(f"response: {name}", lambda sample: with_response(sample, text))


def _label(name: str, label: Any) -> Hostile:
    return Hostile(f"label: {name}", lambda sample: with_label(sample, label))


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def hostile_inputs() -> Iterator[Hostile]:
    """All of them."""
    yield _response("empty", "")
    yield _response("white space only", " \t\n" * 1000)
    yield _response("1 MB of one letter", "a" * _HUGE)
    yield _response("1 MB of spaces", " " * _HUGE)
    yield _response("1 MB of digits", "7" * _HUGE)
    yield _response("1 MB of <", "<" * _HUGE)
    yield _response("1 MB of line ends", "\n" * _HUGE)
    yield _response("100,000 open brackets", "[" * _DEEP)
    yield _response("100,000 open braces", '{"a":' * _DEEP)
    yield _response("a tower of powers", r"\boxed{9^{9^{9^{9^{9}}}}} or 9**9**9**9**9")
    yield _response("NUL and control characters", "\x00\x01\x1b[2J 4 \x7f")
    yield _response("half of a surrogate pair", "\ud800 4 \udfff")
    yield _response("right-to-left and zero-width marks", "\u202e42\u202c \u200f\u200b4\ufeff ٤٢")
    yield _response("emoji and stacked accents", "👩‍👩‍👧‍👦🏳️‍🌈 e" + "\u0301" * 500)
    yield _label("None", None)
    yield _label("empty text", "")
    yield _label("text", "some text")
    yield _label("a number", 4)
    yield _label("NaN", float("nan"))
    yield _label("a list", ["4", None])
    yield _label("an object", {"answer": {"value": 4}})
    yield _label("100 lists in each other", _nested(_LABEL_DEPTH))
    yield _label("1 MB of text", "7" * _HUGE)
    yield Hostile("prompt: empty", lambda sample: with_prompt(sample, ""), is_shared=True)
    yield Hostile("prompt: 1 MB of text", lambda sample: with_prompt(sample, "word " * (_HUGE // 5)), is_shared=True)


async def probe_hostile(subject: Subject, first: Sequence[RewardOutput]) -> list[HostileCase]:
    """Each in place of a sample that scores well enough by itself; in its group, where groups are compared."""
    unit = _unit(subject, first)
    members = [subject.samples[position] for position in unit]
    cases: list[HostileCase] = []
    fatal_count = 0
    for hostile in hostile_inputs():
        if fatal_count >= PATIENCE:
            cases.append(_case(hostile.name, NOT_TRIED))
            continue
        siblings = map(hostile.change, members[1:]) if hostile.is_shared else members[1:]
        output = (await subject.call([hostile.change(members[0]), *siblings]))[0]
        fatal_count += is_fatal(output)
        cases.append(_case(hostile.name, output))
    return cases


def _unit(subject: Subject, first: Sequence[RewardOutput]) -> Sequence[int]:
    units = subject.material.units
    return next((unit for unit in units if all(first[position].score is not None for position in unit)), units[0])


_LEVELS: dict[FailureKind, Level] = {
    FailureKind.TIMEOUT: "wrong",
    FailureKind.CRASHED: "wrong",
    FailureKind.INVALID_OUTPUT: "wrong",
    FailureKind.ERROR: "note",
    FailureKind.CANCELLED: "skipped",
}
_VERBS = {
    FailureKind.TIMEOUT: "hangs",
    FailureKind.CRASHED: "kills its process",
    FailureKind.INVALID_OUTPUT: "gives no valid score",
    FailureKind.ERROR: "raises",
}


def _case(name: str, output: RewardOutput) -> HostileCase:
    failure = output.failure
    if failure is None:
        return HostileCase(name, "ok", output.score, f"scores {output.score:.4g}")
    verb = _VERBS.get(failure.kind, str(failure.kind))
    level = _LEVELS.get(failure.kind, "ok")
    return HostileCase(name, level, None, f"{verb}: {printable(failure.message)}")


def judge_hostile(cases: Sequence[HostileCase]) -> Finding:
    """All cases in a line."""
    tried = [case for case in cases if case.level != "skipped"]
    wrong = [case for case in cases if case.level == "wrong"]
    raised = [case for case in cases if case.level == "note"]
    if wrong:
        names = "; ".join(f"{case.name} ({case.found.partition(':')[0]})" for case in wrong)
        remedy = "answer or raise, quickly: bound sizes first, guard divisions, avoid regexes that backtrack"
        untried = "" if len(tried) == len(cases) else f"; {len(cases) - len(tried)} not tried"
        return Finding("hostile", "wrong", f"{len(wrong)} of {len(tried)} inputs: {names}{untried}", remedy)
    if raised:
        names = "; ".join(case.name for case in raised)
        remedy = "fine where such a sample should be lost; else return a score for it"
        return Finding("hostile", "note", f"raises on {len(raised)} of {len(cases)} inputs: {names}", remedy)
    return Finding("hostile", "ok", f"{len(cases)} hostile inputs: each a score or a failure that says why, in time")
