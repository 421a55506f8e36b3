"""A language model as the judge of a response, over any OpenAI-compatible endpoint.

What arrives: samples. What leaves: the verdict, mapped from the judge's scale to [0, 1], with the judge's own words as
the reason. Ways to a verdict: prose that ends in a line 'Score: N', a JSON object, or the probabilities of the reply's
first token (no text at all: cheapest, finest, and it tells how sure the judge is).
"""

from __future__ import annotations

import asyncio
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack, get_args

from rayreward.errors import ConfigError
from rayreward.judges.asking import MAX_CORRECTIONS, Asker, Cost
from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.guard import INSTRUCTION, Fenced
from rayreward.judges.pointwise import PointwiseJudge, run_of
from rayreward.judges.provider import ProviderSettings, build_endpoint
from rayreward.judges.verdicts import (
    MIN_MASS,
    Scale,
    UnparseableError,
    Verdict,
    expect,
    read_json,
    read_text,
    yes_no_logit,
)
from rayreward.sample import Sample
from rayreward.types import MetricRewardOutput, RewardOutput
from rayreward.versioning import content_version

VerdictKind = Literal["text", "json", "logprobs", "yes_no"]
"""How the judge answers."""

_MAX_TOKENS: Mapping[VerdictKind, int] = {"text": 1024, "json": 512, "logprobs": 1, "yes_no": 1}
"""Room for a reply of each kind: an explanation, a short one, and one token."""

_SAMPLED_TEMPERATURE = 0.7
"""Of a judge that is asked several times: at 0 it would say the same each time."""

_SCALES: Mapping[VerdictKind, Scale] = {
    "text": Scale(1, 10),
    "json": Scale(1, 10),
    "logprobs": Scale(1, 5),
    "yes_no": Scale(0, 1),
}

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}
"""Of a JSON verdict: the reason first, so that the judge thinks before it says a number. No bounds: not every server
that takes schemas takes those, and they are checked here."""


class LLMJudge(PointwiseJudge):
    """A judge's verdict. Range [0, 1].

    Args:
        judge_model: the model's name at the endpoint.
        prompt_template: the question; ``{prompt}`` and ``{response}`` are filled in, and added where it lacks them.
        api_key: else the environment's OPENAI_API_KEY. It is not part of the version.
        verdict: "text" (a line 'Score: N' after an explanation), "json" (``{"reason", "score"}``), "logprobs"
            (expectation over the score tokens) or "yes_no" (the probability of a yes; the template asks for one).
        scale: the judge's worst and best number: 1 and 10, with "logprobs" 1 and 5, whole numbers of one digit.
        samples: how often the judge is asked; at least half of the verdicts must be readable.
        aggregate: how several verdicts become one: "mean" or "median".
        temperature: 0, and 0.7 where it is asked several times.
        max_tokens: of a reply.
        min_mass: probability that the score tokens must have together.
        max_corrections: further questions after an unreadable reply.
        seed: for servers that take one; each of several samples has its own.
        settings: where, how fast and for how much it is asked: see `ProviderSettings`.

    Raises:
        ConfigError: an empty template, or settings that cannot work together.

    Example:
        >>> LLMJudge(judge_model="gpt-4", prompt_template="Rate this response...", api_key="...").isolation
        'inline'
    """

    name = "llm_judge"

    def __init__(
        self,
        judge_model: str,
        prompt_template: str,
        api_key: str | None = None,
        *,
        verdict: VerdictKind = "text",
        scale: Sequence[float] | None = None,
        samples: int = 1,
        aggregate: Literal["mean", "median"] = "mean",
        temperature: float | None = None,
        max_tokens: int | None = None,
        min_mass: float = MIN_MASS,
        max_corrections: int = MAX_CORRECTIONS,
        seed: int | None = None,
        **settings: Unpack[ProviderSettings],
    ) -> None:
        _check(prompt_template, verdict=verdict, samples=samples, aggregate=aggregate, temperature=temperature)
        self.judge_model, self.prompt_template, self.verdict = judge_model, prompt_template, verdict
        self.scale = _SCALES[verdict] if scale is None else Scale.of(scale)
        self.samples, self.aggregate, self.seed = samples, aggregate, seed
        self.temperature = (0.0 if samples == 1 else _SAMPLED_TEMPERATURE) if temperature is None else temperature
        self.max_tokens = _MAX_TOKENS[verdict] if max_tokens is None else max_tokens
        self.min_mass, self.max_corrections = min_mass, max_corrections
        self.base_url, self.model_path = settings.get("base_url", ""), settings.get("model_path", "")
        self.deterministic = self.temperature == 0 and samples == 1
        self._values = _score_tokens(self.scale) if verdict == "logprobs" else {}
        self.rubric_hash = content_version(INSTRUCTION, prompt_template, verdict, self.scale, self._ask())
        self.timeout_s = settings.get("timeout_s", self.timeout_s)
        self._open(build_endpoint(judge_model, api_key=api_key, **settings))

    async def _judge(self, sample: Sample, response: Fenced, cost: Cost) -> RewardOutput:
        content = f"{INSTRUCTION}\n\n{self._filled(sample, response)}\n\n{self._ask()}"
        asker = Asker(self._endpoint, self._read, self._ask(), self.max_corrections)
        questions = [self._question(content, run_of(sample), number) for number in range(self.samples)]
        if len(questions) == 1:
            return self._output_of(await asker.ask(questions[0], cost))
        answers = await asyncio.gather(*(asker.ask(one, cost) for one in questions), return_exceptions=True)
        return self._agreed(answers)

    def _question(self, content: str, run: str, number: int) -> Question:
        choices = {"logprobs": tuple(self._values), "yes_no": ("Yes", "No")}.get(self.verdict, ())
        return Question(
            messages=[{"role": "user", "content": content}],
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            choices=choices,
            json_schema=_SCHEMA if self.verdict == "json" else None,
            seed=None if self.seed is None else self.seed + number,
            run=run,
        )

    def _filled(self, sample: Sample, response: Fenced) -> str:
        template = self.prompt_template
        for field in ("prompt", "response"):
            if f"{{{field}}}" not in template:
                template += f"\n\n{{{field}}}"
        # One pass and not str.format: the texts may hold braces, or the fields' own names.
        texts = {"{prompt}": self._fence("prompt", sample.prompt).text, "{response}": response.text}
        return re.sub(r"\{(?:prompt|response)\}", lambda found: texts[found.group()], template)

    def _ask(self) -> str:
        worst, best = f"{self.scale.low:g} (worst)", f"{self.scale.high:g} (best)"
        match self.verdict:
            case "text":
                return f"End your reply with one line 'Score: N', N a number from {worst} to {best}."
            case "json":
                return (
                    'Reply with one JSON object and nothing else: {"reason": "why, in a sentence or two", "score": N}, '
                    f"N a number from {worst} to {best}."
                )
            case "logprobs":
                return f"Reply with one whole number from {worst} to {best} and nothing else."
            case "yes_no":
                return "Reply with one word, Yes or No."

    def _read(self, reply: Reply) -> Verdict:
        match self.verdict:
            case "text":
                return read_text(reply.text, self.scale)
            case "json":
                return read_json(reply.text, {"score": self.scale})["score"]
            case "logprobs":
                return expect(reply.logprobs, self._values, min_mass=self.min_mass)
            case "yes_no":
                logit = yes_no_logit(reply.logprobs, min_mass=self.min_mass)
                return Verdict(1 / (1 + math.exp(-logit)))

    def _output_of(self, verdict: Verdict) -> RewardOutput:
        metadata: dict[str, Any] = {"verdict": verdict.value}
        if verdict.mass is not None:
            metadata |= {"score_mass": verdict.mass, "unseen_mass": verdict.unseen_mass}
        return RewardOutput(self.scale.to_unit(verdict.value), reason=verdict.reason, metadata=metadata)

    def _agreed(self, answers: Sequence[Verdict | BaseException]) -> RewardOutput:
        """One output of several verdicts; how far they lie apart is a component of weight 0."""
        verdicts = [one for one in answers if isinstance(one, Verdict)]
        errors = [one for one in answers if not isinstance(one, Verdict)]
        if 2 * len(verdicts) < len(answers) or not verdicts:
            worst = next((one for one in errors if not isinstance(one, UnparseableError)), errors[0])
            raise worst
        scores = [self.scale.to_unit(one.value) for one in verdicts]
        score = statistics.median(scores) if self.aggregate == "median" else statistics.fmean(scores)
        nearest = min(verdicts, key=lambda one: abs(self.scale.to_unit(one.value) - score))
        spread = MetricRewardOutput(statistics.pstdev(scores), "standard deviation of the verdicts", weight=0.0)
        metadata = {"verdicts": [one.value for one in verdicts], "unreadable_verdicts": len(errors)}
        return RewardOutput(score, {"spread": spread}, reason=nearest.reason, metadata=metadata)


def _check(
    prompt_template: str, *, verdict: VerdictKind, samples: int, aggregate: str, temperature: float | None
) -> None:
    """Refuse what cannot work, or not together."""
    if not prompt_template.strip():
        raise ConfigError("LLMJudge needs a prompt_template that says what to judge, found an empty one")
    if verdict not in get_args(VerdictKind):
        raise ConfigError(f"verdict={verdict!r}: known are {', '.join(map(repr, get_args(VerdictKind)))}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ConfigError(f"samples is how often the judge is asked, 1 or more; found {samples!r:.80}")
    if aggregate not in ("mean", "median"):
        raise ConfigError(f"aggregate={aggregate!r}: known are 'mean' and 'median'")
    if samples > 1 and (verdict in ("logprobs", "yes_no") or temperature == 0):
        raise ConfigError(
            f"samples={samples} would be the same verdict each time with verdict={verdict!r} or temperature=0"
        )


def _score_tokens(scale: Scale) -> dict[str, float]:
    """What each score token stands for."""
    low, high = scale.low, scale.high
    if low != int(low) or high != int(high) or low < 0 or high > 9:
        raise ConfigError(
            f"verdict='logprobs' needs a scale of whole numbers of one digit, such as (1, 5) or (0, 9), found {scale}: "
            f"many tokenizers write 10 as 1 and 0, and nobody could tell it from 1"
        )
    return {str(number): float(number) for number in range(int(low), int(high) + 1)}
