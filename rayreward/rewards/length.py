"""Responses near a target length, or as long as their correctness allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rayreward.errors import ConfigError, InvalidInputError, InvalidOutputError, did_you_mean, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.lengths import LengthCounter, LengthUnit
from rayreward.rewards.final_answer import FinalAnswerReward
from rayreward.sample import Trajectory
from rayreward.types import MetricRewardOutput, RewardOutput, finite_score

_CORRECT_FROM = 0.5
"""Of a number that says how correct a response is: the middle between right and wrong."""


class LengthReward(RewardFunction):
    """1 at the target length, falling with the distance from it; or a cosine of the length, by correctness.

    Gaussian: ``exp(-((n - target) / tolerance)² / 2)``. Linear: ``1 - |n - target| / tolerance``, not below 0. Both in
    [0, 1]. Cosine: half a wave from the value at length 0 to the value at `max_length`, one wave for correct responses
    and one for wrong ones, and `exceeded` from there on; the range is that of these values, by default [-1, 1]. So a
    right answer is better short, and a wrong one is better long: thinking on is worth it.

    Source: for cosine "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373); the default values, and below
    `max_length` the numbers, are those of open-r1's ``cosine_scaled_reward``. Cost: 7 us for 250 words, 2 us with token
    ids, 60 us more where the label is compared. What games it: padding; use it beside a reward for content. With
    cosine, wrong answers that go on until just before `max_length`.

    Args:
        target_length: in units; `target` is another name for it.
        tolerance: in units; one standard deviation (gaussian) or the distance at which it reaches 0 (linear).
        reward_type: "gaussian", "linear" or "cosine".
        unit: "words" (split at white space), "characters" or "tokens" (the sample's token_ids).
        tokenizer: with tokens, a Hugging Face name or folder that counts where a sample carries no token_ids.
        max_length: with cosine, in units; a response as long is too long, since that is where trainers cut.
        at_correct: with cosine, the values of a correct response at length 0 and at `max_length`.
        at_wrong: with cosine, those of a wrong one.
        exceeded: with cosine, the value of a response that is too long, correct or not.
        correct_from: with cosine, who knows what is correct: "metadata", its key ``correct``, true or false or a number
            that is correct from 0.5 up; "label", which is compared as the reward `final_answer` does; or a reward that
            scores one sample by a plain call, or a built-in's name, whose score is correct from 0.5 up.

    Raises:
        ConfigError: no target or maximum, a tolerance that is not positive, an unknown type, unit or source of
            correctness, an async, batch or composite reward as one, values that are not finite, a target with cosine or
            a maximum without, or a tokenizer without tokens or without transformers.

    Raises (as failures of the sample):
        invalid_input: metadata without ``correct``, or a label without an answer; no token_ids and no tokenizer.

    Example:
        >>> LengthReward(target_length=2, tolerance=1)(response="two words").score
        1.0
        >>> reward = LengthReward(reward_type="cosine", max_length=4)
        >>> reward(response="two words", metadata={"correct": True}).score
        0.75
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "length"

    def __init__(
        self,
        target_length: int | None = None,
        tolerance: float = 50,
        reward_type: Literal["gaussian", "linear", "cosine"] = "gaussian",
        *,
        target: int | None = None,
        unit: LengthUnit = "words",
        tokenizer: str | None = None,
        max_length: int | None = None,
        at_correct: Sequence[float] = (1.0, 0.5),
        at_wrong: Sequence[float] = (-1.0, -0.5),
        exceeded: float = -1.0,
        correct_from: RewardFunction | str = "metadata",
    ) -> None:
        if reward_type not in ("gaussian", "linear", "cosine"):
            raise ConfigError(
                f"LengthReward(reward_type={shown(reward_type)}): known are 'gaussian', 'linear' and 'cosine'"
            )
        self._counter = LengthCounter(unit, asked_by="LengthReward", tokenizer=tokenizer)
        if tokenizer is not None:
            self.isolation = "process"  # a tokenizer takes a second for a million characters
        self.tolerance, self.reward_type, self.unit, self.tokenizer = tolerance, reward_type, unit, tokenizer
        self.target_length, self.cosine = 0, None
        self.judge: RewardFunction | None = None
        if reward_type == "cosine":
            if target is not None or target_length is not None:
                raise ConfigError("LengthReward(reward_type='cosine') has no target: give max_length=… instead")
            self.cosine = _checked_cosine(max_length, at_correct, at_wrong, exceeded)
            self._take_judge(correct_from)
        else:
            if max_length is not None:
                raise ConfigError(f"LengthReward(max_length=…) is of 'cosine', found reward_type={reward_type!r}")
            self.target_length = _checked_target(target_length, target, unit)
            if not tolerance > 0:
                raise ConfigError(f"LengthReward needs a tolerance above 0, found {tolerance!r}")

    def _take_judge(self, correct_from: RewardFunction | str) -> None:
        """Who says what is correct, and where this reward has to run for it."""
        self.judge = _checked_judge(correct_from)
        if self.judge is not None:
            self.deterministic, self.timeout_s = self.judge.deterministic, self.judge.timeout_s
            if self.isolation == "inline":
                self.isolation = self.judge.isolation

    def load(self) -> None:
        """Load the tokenizer, where one is asked for, and what the judge of correctness needs."""
        self._counter.load()
        if self.judge is not None:
            self.judge.load()

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score of the response's length."""
        if self.cosine is not None:
            return self._on_the_wave(trajectory, self.cosine)
        count = self._counter.length_of(trajectory)
        distance = (count - self.target_length) / self.tolerance
        score = math.exp(-distance * distance / 2) if self.reward_type == "gaussian" else max(0.0, 1.0 - abs(distance))
        return RewardOutput.checked(score, reason=f"{count} {self.unit}, target {self.target_length}")

    def _on_the_wave(self, trajectory: Trajectory, cosine: _Cosine) -> RewardOutput:
        metrics = {}
        if self.judge is None:
            is_correct = _correctness(trajectory)
        else:
            judged = self.judge._begin(trajectory)
            if not isinstance(judged, RewardOutput):
                raise TypeError(f"{self.judge.name} returned an awaitable; length needs its score by a plain call")
            if judged.failure is not None:
                return RewardOutput.failed(judged.failure.kind, judged.failure.message, component="correct")
            metrics["correct"] = MetricRewardOutput(judged.score, judged.reason)
            is_correct = judged.score is not None and judged.score >= _CORRECT_FROM
        count = self._counter.length_of(trajectory)
        reason = f"{'correct' if is_correct else 'wrong'}, {count} of {cosine.max_length} {self.unit}"
        return RewardOutput(cosine.value_at(count, is_correct=is_correct), metrics, reason=reason)


class _Cosine(NamedTuple):
    """Two half waves over the length: of correct and of wrong responses."""

    max_length: int
    at_correct: tuple[float, float]
    at_wrong: tuple[float, float]
    exceeded: float

    def value_at(self, length: int, *, is_correct: bool) -> float:
        if length >= self.max_length:
            return self.exceeded
        first, last = self.at_correct if is_correct else self.at_wrong
        return last + (first - last) * (1.0 + math.cos(math.pi * length / self.max_length)) / 2


def _checked_target(target_length: int | None, target: int | None, unit: str) -> int:
    if target is not None and target_length is not None:
        raise ConfigError("LengthReward takes target_length or target (another name for it), not both")
    length = target_length if target is None else target
    if length is None or length < 0:
        raise ConfigError(f"LengthReward needs target_length, a number of {unit} from 0 up; found {length!r}")
    return length


def _checked_cosine(
    max_length: int | None, at_correct: Sequence[float], at_wrong: Sequence[float], exceeded: float
) -> _Cosine:
    if not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 1:
        raise ConfigError(f"LengthReward(reward_type='cosine') needs a max_length from 1 up, found {shown(max_length)}")
    try:
        (right, right_end), (wrong, wrong_end) = map(tuple, (at_correct, at_wrong))
        values = [finite_score(value) for value in (right, right_end, wrong, wrong_end, exceeded)]
    except (TypeError, ValueError, InvalidOutputError):
        raise ConfigError(
            "LengthReward(at_correct=…, at_wrong=…) need two numbers each, at length 0 and at max_length, and exceeded "
            f"one; found {shown(at_correct)}, {shown(at_wrong)} and {shown(exceeded)}"
        ) from None
    return _Cosine(max_length, (values[0], values[1]), (values[2], values[3]), values[4])


def _correctness(trajectory: Trajectory) -> bool:
    """What the sample's metadata say of its response."""
    try:
        return finite_score(trajectory.metadata.get("correct")) >= _CORRECT_FROM
    except InvalidOutputError:
        raise InvalidInputError(
            "length with a cosine needs the metadata key 'correct', true or false or a number; found "
            f"{shown(trajectory.metadata.get('correct'))} (or compare the label: correct_from='label')"
        ) from None


def _checked_judge(correct_from: RewardFunction | str) -> RewardFunction | None:
    """The reward that says what is correct; None where the metadata do."""
    if correct_from == "metadata":
        return None
    if correct_from == "label":
        return FinalAnswerReward()
    judge: RewardFunction | str = correct_from
    if isinstance(judge, str):
        from rayreward.rewards import BUILTINS  # the package that this file is of: only a name needs its list

        if judge not in BUILTINS:
            raise ConfigError(
                f"LengthReward(correct_from={shown(judge)}): {did_you_mean(judge, ['metadata', 'label', *BUILTINS])}"
            )
        try:
            judge = BUILTINS[judge]()
        except TypeError as error:
            raise ConfigError(
                f"LengthReward(correct_from={shown(judge)}): that reward needs arguments ({error})"
            ) from None
    if not isinstance(judge, RewardFunction):
        raise ConfigError(
            f"LengthReward(correct_from={shown(judge)}): 'metadata', 'label', a built-in's name or a reward"
        )
    has_plain_code = judge._function is not None or type(judge).compute_reward is not RewardFunction.compute_reward
    if judge.is_async or judge.scores_batches or not has_plain_code:
        raise ConfigError(
            f"LengthReward(correct_from={judge.name or type(judge).__name__}): it must score a sample by a plain call; "
            "what an async, a batch or a composite reward says can be written into the metadata key 'correct'"
        )
    return judge
