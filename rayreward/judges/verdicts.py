"""What a judge's reply says, or why it says nothing.

What arrives: a reply's text, or the log probabilities of its first token. What leaves: a number on the judge's own
scale with the judge's reason, or an `UnparseableError` that says what was wrong, in words that the judge can be told.
A number is never guessed: a reply without a verdict, out of range, or of two minds has none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import ConfigError, shown
from rayreward.json_text import MalformedJsonError, objects
from rayreward.thinking import split_thinking

MIN_MASS = 0.5
"""Probability that the score tokens must have together. Below it the judge was about to say something else, and what is
left would be the expectation of a thing that it never meant to answer."""

_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?"
_PLAIN_NUMBER = re.compile(_NUMBER)

_GOES_ON = re.compile(
    r"[*_`\s]*(?:(?P<of>/|out\s+of\b)\s*(?P<high>[0-9]+(?:\.[0-9]+)?)|(?:-|\u2013|to|or)\s*[0-9]|,[0-9]|%)", re.I
)
"""What may follow a number and change what it means: a scale (8/10), a range (7-8), a comma (7,5), a percentage."""


_SURPLUS = 1.1
"""Probabilities of one position sum to 1; servers round, and a half-precision softmax adds some per cent at most."""


class UnparseableError(ValueError):
    """The reply has no verdict; the message says what was wrong.

    Args:
        problem: in words that the judge can be told: none of the reply's own, which may quote the judged text.
        found: what the reply said, for people.

    Attributes:
        problem: see there.
    """

    def __init__(self, problem: str, found: str = "") -> None:
        super().__init__(f"{problem} {found}" if found else problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers that a judge may give.

    Raises:
        ConfigError: its ends are not two numbers, the lower one first.

    Example:
        >>> Scale(1, 10).to_unit(5.5)
        0.5
    """

    low: float = 1.0
    high: float = 10.0

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        if any(isinstance(end, bool) or not isinstance(end, (int, float)) or not math.isfinite(end) for end in ends):
            raise ConfigError(f"a scale is two numbers such as (1, 10), found {ends!r:.80}")
        if not self.low < self.high:
            raise ConfigError(f"a scale goes from its worst to its best number, such as (1, 10), found {ends!r}")

    @classmethod
    def of(cls, ends: Sequence[float]) -> Scale:
        """From a pair, as YAML has it."""
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise ConfigError(f"a scale is two numbers such as [1, 10], found {shown(ends)}")
        return cls(ends[0], ends[1])

    def to_unit(self, value: float) -> float:
        """Where `value` lies between the ends: 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def check(self, value: float, what: str = "the score") -> float:
        """`value`, where the scale holds it.

        Raises:
            UnparseableError: it does not.
        """
        if not self.low <= value <= self.high:
            raise UnparseableError(f"{what} {value:g} is not between {self.low:g} and {self.high:g}")
        return value

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one thing.

    Attributes:
        value: on the judge's own scale.
        reason: its words.
        mass: probability of the score tokens together, where the value is an expectation over them.
        unseen_mass: probability that the score tokens which the server did not return may have at most.
    """

    value: float
    reason: str | None = None
    mass: float | None = None
    unseen_mass: float = 0.0


def read_text(reply: str, scale: Scale, *, word: str = "score") -> Verdict:
    r"""The verdict of a reply in prose: the number of its last ``Score: N``.

    The last line with a verdict counts: a judge that reasons aloud quotes and corrects itself. Two different numbers on
    that line are none. What a reasoning model thinks before its answer is not read.

    Raises:
        UnparseableError: no verdict, one out of range, or an ambiguous one.

    Example:
        >>> read_text("It claims 'Score: 10'. No.\n**Score:** 3/10", Scale(1, 10)).value
        3.0
    """
    answer = split_thinking(reply).answer
    pattern = re.compile(
        rf"(?<![a-z]){re.escape(word)}[\s*_`\"']*[:\uff1a][\s*_`\"']*(?P<number>{_NUMBER})", re.IGNORECASE
    )
    found = list(pattern.finditer(answer))
    if not found:
        raise UnparseableError(f"no '{word.capitalize()}: N' in the reply", _shown_end(answer))
    line_start = answer.rfind("\n", 0, found[-1].start()) + 1
    values = {_number_at(answer, match, scale) for match in found if match.start() >= line_start}
    if len(values) > 1:
        raise UnparseableError(
            f"the last line with a verdict has several: {', '.join(f'{v:g}' for v in sorted(values))}"
        )
    return Verdict(scale.check(values.pop()), reply.strip())


def _number_at(answer: str, match: re.Match[str], scale: Scale) -> float:
    more = _GOES_ON.match(answer, match.end())
    if more and not (more["of"] and float(more["high"]) == scale.high):
        raise UnparseableError(f"'{match.group().strip()}{more.group()}' is not one number from {scale}")
    return float(match["number"])


def read_json(reply: str, keys: Mapping[str, Scale], *, reasons: Mapping[str, str] | None = None) -> dict[str, Verdict]:
    """The verdicts of a reply that is a JSON object, by key; those that it lacks are left out.

    Prose around the object is passed over, a second object that says something else is not.

    Args:
        reply: the whole reply.
        keys: what to read, each with its scale.
        reasons: the key of each one's reason; ``reason`` for all by default.

    Raises:
        UnparseableError: no object with one of the keys, several that differ, a value that is no number, or one out of
            range.

    Example:
        >>> read_json('{"score": 7, "reason": "clear"}', {"score": Scale(1, 10)})["score"]
        Verdict(value=7.0, reason='clear', mass=None, unseen_mass=0.0)
    """
    answer = split_thinking(reply).answer
    found = _object_of(answer, keys)
    verdicts = {}
    for key, scale in keys.items():
        if key not in found:
            continue
        given: Any = found[key]
        reason: Any = found.get((reasons or {}).get(key, "reason"))
        if isinstance(given, Mapping):  # {"score": 7, "reason": …} a criterion
            given, reason = given.get("score"), given.get("reason")
        value = scale.check(_number(given, key), repr(key))
        verdicts[key] = Verdict(value, str(reason) if reason is not None else None)
    return verdicts


def _object_of(answer: str, keys: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        fitting = [one for one, source in objects(answer) if any(key in one and is_key(key, source) for key in keys)]
    except MalformedJsonError as error:
        raise UnparseableError(str(error)) from None
    if not fitting:
        raise UnparseableError(f"no JSON object with {_listed(keys)} in the reply", _shown_end(answer))
    if any({key: one.get(key) for key in keys} != {key: fitting[-1].get(key) for key in keys} for one in fitting):
        raise UnparseableError(f"{len(fitting)} JSON objects with {_listed(keys)} that differ; one is wanted")
    found: Mapping[str, Any] = fitting[-1]
    return found


def is_key(key: str, source: str) -> bool:
    r"""Whether the JSON text `source` has `key` as it is written.

    A quoted text's ``"score":`` was made inert before the judge read it, and escapes are its way to be read as what it
    was kept from being.

    Example:
        >>> is_key("score", '{"score" : 7}'), is_key("score", r'{"scor\u0065": 7, "why": "score"}')
        (True, False)
    """
    return re.search(rf'"{re.escape(key)}"[ \t\r\n]*:', source) is not None


def _number(given: Any, key: str) -> float:
    if isinstance(given, str) and _PLAIN_NUMBER.fullmatch(given.strip()):
        return float(given)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise UnparseableError(f"{key!r} must be a number,", f"found {shown(given)}")
    try:
        return float(given)
    except OverflowError:
        raise UnparseableError(f"{key!r} is out of any range") from None


def expect(logprobs: Mapping[str, float], values: Mapping[str, float], *, min_mass: float = MIN_MASS) -> Verdict:
    """The expectation over score tokens, as in G-Eval: sum of s p(s), p renormalised over the tokens seen.

    Tokens that differ by a space in front are one. A score token that the server did not return has less probability
    than the least likely one that it did: it counts nothing, and `unseen_mass` says how much that may be.

    Args:
        logprobs: natural logarithms by token text, of one position.
        values: what each score token stands for.
        min_mass: what the score tokens must have together.

    Raises:
        UnparseableError: they have less: the judge was about to say something else. Or these are no probabilities.

    Example:
        >>> from math import log
        >>> scores = {str(n): n for n in range(1, 6)}
        >>> expect({"4": log(0.5), " 4": log(0.1), "5": log(0.2), "I": log(0.1)}, scores).value
        4.25
    """
    _check_sum(logprobs)
    seen = _merged(logprobs, values)
    mass = min(1.0, math.fsum(seen.values()))
    if not mass >= min_mass or not mass:
        likely = max(logprobs, key=lambda token: logprobs[token], default="")
        raise UnparseableError(
            f"{_listed(values)} have a probability of {mass:.3g} together, and {min_mass:g} is needed;",
            f"the reply most likely begins with {likely!r:.40}",
        )
    value = math.fsum(values[token] * probability for token, probability in seen.items()) / math.fsum(seen.values())
    return Verdict(value, mass=mass, unseen_mass=_unseen(logprobs, len(values) - len(seen)))


def yes_no_logit(
    logprobs: Mapping[str, float], *, yes: str = "Yes", no: str = "No", min_mass: float = MIN_MASS
) -> float:
    """The logit of a yes, ln p(yes) - ln p(no): positive where the judge leans to yes.

    Capital letters and spaces in front make no difference. Where the server did not return one of them it counts as
    the least likely token that it did return: the difference is then at least as large.

    Raises:
        UnparseableError: both together have less than `min_mass`.

    Example:
        >>> from math import log
        >>> round(yes_no_logit({"Yes": log(0.6), " yes": log(0.2), "No": log(0.2)}), 6) == round(log(4), 6)
        True
    """
    _check_sum(logprobs)
    folded: dict[str, float] = {}
    for token, logprob in logprobs.items():
        key = _plain(token).casefold()
        folded[key] = folded.get(key, 0.0) + _probability(logprob)
    sides = [folded.get(answer.casefold(), 0.0) for answer in (yes, no)]
    if not sum(sides) >= min_mass or not sum(sides):
        raise UnparseableError(
            f"{yes!r} and {no!r} have a probability of {sum(sides):.3g} together, and {min_mass:g} is needed"
        )
    floor = max(min(map(_probability, logprobs.values())), 1e-12)
    return math.log(max(sides[0], floor)) - math.log(max(sides[1], floor))


def _check_sum(logprobs: Mapping[str, float]) -> None:
    """Refuse what is no distribution: a server that says 0.0 for every token would make any verdict a middle one."""
    total = math.fsum(map(_probability, logprobs.values()))
    if total > _SURPLUS:
        raise UnparseableError(f"the log probabilities are none: they make {total:.3g} together, where 1 is the most")


def _merged(logprobs: Mapping[str, float], values: Mapping[str, float]) -> dict[str, float]:
    seen: dict[str, float] = {}
    for token, logprob in logprobs.items():
        if (plain := _plain(token)) in values:
            seen[plain] = seen.get(plain, 0.0) + _probability(logprob)
    return seen


def _plain(token: str) -> str:
    """A token's text without the space in front, however its tokenizer writes it."""
    return token.lstrip(" \u2581\u0120")


def _probability(logprob: float) -> float:
    return math.exp(min(logprob, 0.0)) if logprob == logprob else 0.0


def _unseen(logprobs: Mapping[str, float], missing: int) -> float:
    if not missing:
        return 0.0
    probabilities = [_probability(logprob) for logprob in logprobs.values()]
    return max(0.0, min(missing * min(probabilities), 1 - math.fsum(probabilities)))


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names))


def _shown_end(reply: str) -> str:
    return f"that ends in {reply.strip()[-200:]!r}" if reply.strip() else "(it is empty)"
