"""Judges that compare, written down beforehand: what they see of a question, and how they answer it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping

from rayreward.judges.endpoint import Question, Reply

_BLOCK = re.compile(r'<data-(?P<code>\w+) name="(?P<name>[^"]+)">\n(?P<text>.*?)\n</data-(?P=code)>', re.DOTALL)


def shown(question: Question) -> dict[str, str]:
    """The texts of a question by what they are called."""
    asked = next(message["content"] for message in question.messages if message["role"] == "user")
    return {found["name"]: found["text"] for found in _BLOCK.finditer(asked)}


def told_off_for(question: Question) -> str | None:
    """The reply that could not be read, of which the question is the correction."""
    return question.messages[-2]["content"] if question.messages[-2]["role"] == "assistant" else None


def prefers(worth: Callable[[str], float], *, bias: float = 0.0) -> Callable[[Question], Reply]:
    """A judge of pairs with a liking for the first place, as log odds."""

    def answer(question: Question) -> Reply:
        texts = shown(question)
        return letters(worth(texts["response A"]) - worth(texts["response B"]) + bias)

    return answer


def letters(logit: float) -> Reply:
    """The reply of a judge that says A with these odds."""
    a = 1 / (1 + math.exp(-logit))
    return Reply("A" if a > 0.5 else "B", {"A": math.log(a), "B": math.log(1 - a)})


def scores_by(worth: Callable[[str], float]) -> Callable[[Question], str]:
    """A judge of lists that gives each candidate what it is worth."""
    return lambda question: card({name[-1]: worth(text) for name, text in shown(question).items() if "cand" in name})


def card(scores: Mapping[str, float]) -> str:
    """A judge's reply to a list."""
    entries = [
        {"candidate": letter, "explanation": f"it is {score}", "score": score} for letter, score in scores.items()
    ]
    return f"Here it is:\n```json\n{json.dumps({'scores': entries})}\n```"
