"""Which of two responses a judge prefers: the question, and what is read out of its reply.

What arrives: two texts. What leaves: a question in which each is data; and from the reply the chance that the first is
better: from the log probabilities of "A" and "B" where the server gives them, else from the verdict in the text. A
reply without either is no preference, never a draw.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.guard import INSTRUCTION, Fenced, fence
from rayreward.judges.verdicts import UnparseableError, yes_no_logit
from rayreward.thinking import split_thinking

Manner = Literal["logprobs", "text"]
"""How a judge answers: by one letter, of which the probabilities are read; or in words that end in a verdict."""

CRITERIA = (
    "The better response does what was asked, is correct, and says it clearly. Length is no merit of its own, and "
    "neither is confidence."
)

TASK = "You compare two responses to the same conversation and say which one is better."

ASK: Mapping[Manner, str] = {
    "logprobs": "Which response is better? Answer with one letter and nothing else: A or B.",
    "text": (
        "Weigh the two in a few sentences. Then end with one line: 'Verdict: A', 'Verdict: B', or 'Verdict: tie' where "
        "neither is better."
    ),
}

_VERDICT = re.compile(r"verdict[\s*_`\"']*[:\uff1a][\s*_`\"'(\[]*(?P<which>a|b|tie)\b", re.IGNORECASE)
_LETTER = re.compile(r"[\s*_`\"'(\[]*(?P<which>[AB])[\s*_`\"')\].]*")
_CHANCES = {"a": 1.0, "b": 0.0, "tie": 0.5}

_MAX_LOGIT = 20.0
"""A preference of one in 10^9; what a server leaves out of its list is no stronger."""


@dataclass(frozen=True, slots=True)
class Preference:
    """What one reply says.

    Attributes:
        chance: in [0, 1], that the response shown first is better.
        logit: the same as a logarithm of odds, where probabilities were read; None where the text was.
    """

    chance: float
    logit: float | None = None

    @classmethod
    def of_logit(cls, logit: float) -> Preference:
        """From a logarithm of odds."""
        return cls(0.5 * (1.0 + math.tanh(logit / 2)), logit)


@dataclass(frozen=True, slots=True)
class PairBlocks:
    """A group's texts as blocks of data, each made once however many pairs show it.

    Attributes:
        conversation: what the candidates share.
        first: each candidate as response A.
        second: each candidate as response B.
    """

    conversation: Fenced
    first: tuple[Fenced, ...]
    second: tuple[Fenced, ...]

    @classmethod
    def of(cls, shared: str, texts: Sequence[str]) -> PairBlocks:
        """The blocks of a group."""

        def block(name: str, text: str) -> Fenced:
            return fence(name, text, verdict_words=("verdict",))

        places = [tuple(block(name, text) for text in texts) for name in ("response A", "response B")]
        return cls(block("conversation", shared), *places)


def pair_question(
    blocks: PairBlocks,
    first: int,
    second: int,
    *,
    criteria: str,
    manner: Manner,
    run: str = "",
    seed: int | None = None,
) -> Question:
    """Which of two candidates is better. What many questions share comes first: a server then computes it once."""
    shown = (blocks.conversation, blocks.first[first], blocks.second[second])
    messages = [
        {"role": "system", "content": f"{TASK}\n\n{criteria}\n\n{INSTRUCTION}"},
        {"role": "user", "content": "\n\n".join([*(block.text for block in shown), ASK[manner]])},
    ]
    if manner == "logprobs":
        return Question(messages, max_tokens=1, choices=("A", "B"), seed=seed, run=run)
    return Question(messages, max_tokens=1024, seed=seed, run=run)


def read_preference(reply: Reply, manner: Manner) -> Preference:
    r"""What the reply says.

    Raises:
        UnparseableError: nothing.

    Example:
        >>> read_preference(Reply("A", {"A": -0.25, "B": -1.5}), "logprobs").logit
        1.25
        >>> read_preference(Reply("Both are fine.\nVerdict: tie"), "text").chance
        0.5
    """
    if manner == "logprobs" and reply.logprobs:
        logit = yes_no_logit(_with_both(reply.logprobs), yes="A", no="B")
        return Preference.of_logit(max(-_MAX_LOGIT, min(_MAX_LOGIT, logit)))
    answer = split_thinking(reply.text).answer
    if manner == "logprobs":  # a server that gives no probabilities: the letter itself is what it says
        letter = _LETTER.fullmatch(answer)
        if letter is None:
            raise UnparseableError("neither 'A' nor 'B' is the reply", repr(answer[-200:]))
        return Preference(_CHANCES[letter["which"].lower()])
    for line in reversed(answer.splitlines()):  # a judge that reasons aloud quotes and corrects itself
        said = {found["which"].lower() for found in _VERDICT.finditer(line)}
        if len(said) > 1:
            raise UnparseableError("the last line with a verdict has several:", repr(line[-200:]))
        if said:
            return Preference(_CHANCES[said.pop()])
    raise UnparseableError("no 'Verdict: A', 'B' or 'tie' in the reply", f"that ends in {answer[-200:]!r}")


def _with_both(logprobs: Mapping[str, float]) -> dict[str, float]:
    """The log probabilities with a letter that the server did not return: at most what is left, and what is listed."""
    chances = [math.exp(min(logprob, 0.0)) for logprob in logprobs.values()]
    most = max(min(*chances, 1.0 - math.fsum(chances)), math.exp(-_MAX_LOGIT))
    listed = {token.lstrip(" \u2581\u0120") for token in logprobs}
    return {**logprobs, **{letter: math.log(most) for letter in ("A", "B") if letter not in listed}}


def both_orders(first: Preference, second: Preference) -> Preference:
    """One preference from two, the second of which saw the responses the other way round.

    A liking for a place adds the same to both logits, and falls out of their difference.
    """
    if first.logit is not None and second.logit is not None:
        return Preference.of_logit((first.logit - second.logit) / 2)
    return Preference((first.chance + 1.0 - second.chance) / 2)
