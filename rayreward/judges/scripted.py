"""A judge's endpoint whose replies are written down beforehand: for tests of judges, ours and others'.

What arrives: questions. What leaves: the replies of a script, or what a function makes of each question; an exception
among them is raised. Every question is remembered. Nothing here is a language model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rayreward.judges.endpoint import Question, Reply

Said = Reply | str | Exception
"""A reply, its text alone, or what is raised instead."""


class ScriptedEndpoint:
    r"""Replies by a script, in the order of the questions.

    Args:
        script: what is said, in turn; or a function of the question.

    Attributes:
        asked: the questions so far.
        lost: see `Endpoint`.

    Example:
        >>> from rayreward.judges.judge import LLMJudge
        >>> judge = LLMJudge("m", "Rate this.", endpoint=ScriptedEndpoint(["Fine, but dull.\nScore: 5.5"]))
        >>> judge(prompt="2 + 2?", response="4").score
        0.5
    """

    lost: str | None = None

    def __init__(self, script: Iterable[Said] | Callable[[Question], Said]) -> None:
        self._script = script if callable(script) else list(script)
        self.asked: list[Question] = []
        self.is_closed = False

    async def ask(self, question: Question) -> Reply:
        """The next reply.

        Raises:
            LookupError: the script is at its end.
        """
        self.asked.append(question)
        if callable(self._script):
            said = self._script(question)
        elif len(self.asked) <= len(self._script):
            said = self._script[len(self.asked) - 1]
        else:
            raise LookupError(f"the script has {len(self._script)} replies and was asked {len(self.asked)} times")
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Reply):
            return said
        words = sum(len(str(message.get("content")).split()) for message in question.messages)
        return Reply(said, prompt_tokens=words, completion_tokens=len(said.split()))

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True
