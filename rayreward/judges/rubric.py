"""A judge that scores several criteria, each a component with a weight of its own.

What arrives: samples. What leaves: one output each: the weighted mean of the criteria's scores, each mapped from its
scale to [0, 1]. All criteria are asked for in one request, with a JSON reply: the prompt and the response are paid for
once, and the judge keeps them apart better than when it meets each anew without the others. With ``one_by_one`` each
has a request of its own, for criteria so different that one mood should not colour them all: the rubric is the
question's beginning and the response its end, so a server's prefix cache holds what they share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import pydantic

from rayreward.judges.asking import MAX_CORRECTIONS, Asker, Cost, failure_of
from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.guard import INSTRUCTION, Fenced
from rayreward.judges.pointwise import PointwiseJudge, run_of
from rayreward.judges.provider import ProviderSettings, build_endpoint
from rayreward.judges.verdicts import Scale, UnparseableError, Verdict, read_json
from rayreward.sample import Sample
from rayreward.strict import StrictModel, read_yaml
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput
from rayreward.versioning import content_version

_TOKENS_A_CRITERION = 200
"""Of a reply: a sentence or two and a number, in any language."""

_TEMPLATE_VERSION = 1
"""Of the words around a rubric; part of its hash. Whoever changes them below counts it up."""


class Criterion(StrictModel):
    """One thing that a response is judged by.

    Attributes:
        name: its component's name: letters, digits and underscores.
        description: what a good and a bad response is by it.
        weight: in the mean; above 0.
        scale: its worst and best number.
        required: whether a sample fails where the judge left it out; others are left out of the mean.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,49}$")
    description: str = pydantic.Field(min_length=1)
    weight: float = pydantic.Field(default=1.0, gt=0, allow_inf_nan=False)
    scale: tuple[float, float] = (1, 5)
    required: bool = True


class Rubric(StrictModel):
    """What to judge by.

    Attributes:
        criteria: at least one, of different names.
        instructions: said before them: the task, the audience, examples of verdicts.

    Example:
        >>> rubric = Rubric(criteria=[{"name": "correct", "description": "The sum is right.", "weight": 3}])
        >>> rubric.criteria[0].scale
        (1, 5)
    """

    criteria: tuple[Criterion, ...] = pydantic.Field(min_length=1)
    instructions: str = ""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Rubric:
        names = [criterion.name for criterion in self.criteria]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"two criteria are called {doubled!r}: a component has one name")
        for criterion in self.criteria:
            Scale(*criterion.scale)
        return self

    @classmethod
    def read(cls, given: Rubric | Mapping[str, Any] | Sequence[Any] | str | Path) -> Rubric:
        """From a value, a mapping, a list of criteria, or a YAML file of either.

        Raises:
            ConfigError: it is none of them, or has a mistake, which is named with its key.
        """
        if isinstance(given, Rubric):
            return given
        source = "rubric"
        if isinstance(given, (str, Path)):
            source, given = str(given), read_yaml(given)
        return cls.parse({"criteria": given} if isinstance(given, (list, tuple)) else given, source=source)


class RubricJudge(PointwiseJudge):
    """A judge's verdicts by several criteria: their weighted mean. Range [0, 1].

    Args:
        judge_model: the model's name at the endpoint.
        rubric: a `Rubric`, its mapping, a list of criteria, or the path of a YAML file.
        api_key: else the environment's OPENAI_API_KEY. It is not part of the version.
        one_by_one: a request a criterion.
        temperature: 0 for the same verdict each time.
        max_corrections: further questions after a reply that cannot be read or lacks a required criterion.
        seed: for servers that take one.
        settings: where, how fast and for how much it is asked: see `ProviderSettings`.

    Raises:
        ConfigError: a mistake in the rubric or a setting.

    Example:
        >>> from rayreward.judges.scripted import ScriptedEndpoint
        >>> criteria = [{"name": "correct", "description": "The sum is right.", "weight": 3, "scale": [0, 1]},
        ...             {"name": "brief", "description": "No word too many."}]
        >>> said = '{"correct": {"reason": "yes", "score": 1}, "brief": {"reason": "wordy", "score": 3}}'
        >>> judge = RubricJudge("m", criteria, endpoint=ScriptedEndpoint([said]))
        >>> output = judge(prompt="2 + 2?", response="Well, it is 4.")
        >>> output.score, output.metrics["brief"].score, output.metrics["brief"].reason
        (0.875, 0.5, 'wordy')
    """

    name = "rubric_judge"

    def __init__(
        self,
        judge_model: str,
        rubric: Rubric | Mapping[str, Any] | Sequence[Any] | str | Path,
        api_key: str | None = None,
        *,
        one_by_one: bool = False,
        temperature: float = 0.0,
        max_corrections: int = MAX_CORRECTIONS,
        seed: int | None = None,
        **settings: Unpack[ProviderSettings],
    ) -> None:
        self.judge_model, self.rubric = judge_model, Rubric.read(rubric)
        self.one_by_one, self.temperature, self.seed = one_by_one, temperature, seed
        self.max_corrections = max_corrections
        self.base_url, self.model_path = settings.get("base_url", ""), settings.get("model_path", "")
        self.deterministic = temperature == 0
        self.rubric_hash = content_version(_TEMPLATE_VERSION, INSTRUCTION, self.rubric.model_dump(), one_by_one)
        self.timeout_s = settings.get("timeout_s", self.timeout_s)
        self._open(build_endpoint(judge_model, api_key=api_key, **settings))

    async def _judge(self, sample: Sample, response: Fenced, cost: Cost) -> RewardOutput:
        criteria = self.rubric.criteria
        parts = [(criterion,) for criterion in criteria] if self.one_by_one else [criteria]
        asked = [self._ask(part, sample, response, cost) for part in parts]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        metrics: dict[str, MetricRewardOutput] = {}
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, BaseException) and not (self.one_by_one and isinstance(answer, Exception)):
                raise answer
            for criterion in part:
                metrics[criterion.name] = _component(criterion, answer)
        return _combined(criteria, metrics)

    async def _ask(
        self, criteria: Sequence[Criterion], sample: Sample, response: Fenced, cost: Cost
    ) -> dict[str, Verdict]:
        shape = _shape(criteria)
        content = "\n\n".join(
            [INSTRUCTION, _rubric_text(self.rubric, criteria), shape, self._fence("prompt", sample.prompt).text,
             response.text, "Judge the response by the rubric now."]
        )  # fmt: skip
        question = Question(
            messages=[{"role": "user", "content": content}],
            max_tokens=_TOKENS_A_CRITERION * len(criteria),
            temperature=self.temperature,
            json_schema=_schema(criteria),
            seed=self.seed,
            run=run_of(sample),
        )

        def read(reply: Reply) -> dict[str, Verdict]:
            verdicts = read_json(reply.text, {one.name: Scale(*one.scale) for one in criteria})
            missing = [one.name for one in criteria if one.required and one.name not in verdicts]
            if missing:
                raise UnparseableError(f"the reply lacks the criterion {missing[0]!r}")
            return verdicts

        return await Asker(self._endpoint, read, shape, self.max_corrections).ask(question, cost)

    def _verdict_words(self) -> tuple[str, ...]:
        return ("score", *(criterion.name for criterion in self.rubric.criteria))


def _component(criterion: Criterion, answer: Mapping[str, Verdict] | BaseException) -> MetricRewardOutput:
    """A criterion's score, or why it has none."""
    if isinstance(answer, Exception):
        failure = failure_of(answer).failure
        return MetricRewardOutput(weight=criterion.weight, failure=failure)
    verdict = answer.get(criterion.name) if isinstance(answer, Mapping) else None
    if verdict is None:
        missing = Failure(FailureKind.UNPARSEABLE, "the judge left this criterion out", criterion.name)
        return MetricRewardOutput(weight=criterion.weight, failure=missing)
    return MetricRewardOutput(Scale(*criterion.scale).to_unit(verdict.value), verdict.reason, criterion.weight)


def _combined(criteria: Sequence[Criterion], metrics: Mapping[str, MetricRewardOutput]) -> RewardOutput:
    """The weighted mean of the criteria that have a score; without a required one the sample has none."""
    for criterion in criteria:
        failure = metrics[criterion.name].failure
        if failure is not None and criterion.required:
            return RewardOutput(metrics=metrics, failure=Failure(failure.kind, failure.message, criterion.name))
    scored = [(metric.score, metric.weight) for metric in metrics.values() if metric.score is not None]
    if not scored:
        message = "the judge left every criterion out"
        return RewardOutput(metrics=metrics, failure=Failure(FailureKind.UNPARSEABLE, message))
    total = sum(weight for _, weight in scored)
    reason = "\n".join(f"{name}: {metric.reason}" for name, metric in metrics.items() if metric.reason)
    return RewardOutput(sum(score * weight for score, weight in scored) / total, metrics, reason=reason or None)


def _rubric_text(rubric: Rubric, criteria: Sequence[Criterion]) -> str:
    lines = [rubric.instructions.strip() or "Judge how well the response answers the prompt.", "", "Rubric:"]
    for one in criteria:
        lines.append(f"- {one.name} ({one.scale[0]:g} worst, {one.scale[1]:g} best): {one.description.strip()}")
    return "\n".join(lines)


def _shape(criteria: Sequence[Criterion]) -> str:
    entries = ", ".join(f'"{one.name}": {{"reason": "why, in a sentence", "score": N}}' for one in criteria)
    return f"Reply with one JSON object and nothing else: {{{entries}}}, each N a number on its criterion's scale."


def _schema(criteria: Sequence[Criterion]) -> dict[str, Any]:
    verdict = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
        "required": ["reason", "score"],
        "additionalProperties": False,
    }
    names = [one.name for one in criteria]
    return {
        "type": "object",
        "properties": dict.fromkeys(names, verdict),
        "required": names,
        "additionalProperties": False,
    }
