"""Does the response follow instructions that a program can verify?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.function import RewardFunction
from rayreward.instructions.registry import Instruction, read_instructions
from rayreward.languages.detector import load_detector, require_detector
from rayreward.sample import Trajectory
from rayreward.thinking import split_thinking
from rayreward.types import MetricRewardOutput, RewardOutput

_IDS, _KWARGS = "instruction_id_list", "kwargs"


class InstructionFollowingReward(RewardFunction):
    """The share of verifiable instructions that a response follows: the 25 of IFEval. Range [0, 1].

    Source: IFEval (arXiv 2311.07911); docs/rewards.md says where a check differs from the benchmark's own program. A
    sample names its instructions in its label (a dict, also as JSON, with ``instruction_id_list`` and ``kwargs``) or
    in metadata columns of these names, as the data set does; else the reward's own apply. An empty response follows
    nothing. Cost: 50 µs for a response of 250 words and a row of the data set, 0.3 ms where its language is asked; a
    few times as much in loose mode where the strict reading fails. What games it: instructions are about form, so text
    that keeps the form and says nothing earns all of it; use it beside a reward for content.

    Args:
        instruction_id_list: instructions of samples that name none.
        kwargs: their arguments, one dict an instruction.
        mode: "strict", or "loose": one of the paper's eight readings of the response is enough (without its first
            line, its last line or both, each with and without asterisks).
        score: "fraction" of the instructions, or "all" of them or nothing.
        part: "response", or "answer": what follows ``</think>``.

    Raises:
        ConfigError: an unknown option or instruction, or py3langid is not installed.

    Raises (as failures of the sample):
        invalid_input: it names no instruction, or one that is unknown or lacks an argument.

    Example:
        >>> label = {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {}]}
        >>> InstructionFollowingReward()(response="No comma.", label=label).score
        0.5
    """

    deterministic = True
    name = "instruction_following"

    def __init__(
        self,
        instruction_id_list: Sequence[str] | None = None,
        kwargs: Sequence[Mapping[str, Any]] | None = None,
        *,
        mode: Literal["strict", "loose"] = "strict",
        score: Literal["fraction", "all"] = "fraction",
        part: Literal["response", "answer"] = "response",
    ) -> None:
        for option, value, known in (
            ("mode", mode, ("strict", "loose")),
            ("score", score, ("fraction", "all")),
            ("part", part, ("response", "answer")),
        ):
            if value not in known:
                raise ConfigError(
                    f"InstructionFollowingReward({option}={value!r}): known are {known[0]!r}, {known[1]!r}"
                )
        if kwargs is not None and instruction_id_list is None:
            raise ConfigError("InstructionFollowingReward takes kwargs together with instruction_id_list")
        require_detector("InstructionFollowingReward")
        try:
            self._own = read_instructions(instruction_id_list, kwargs) if instruction_id_list is not None else None
        except InvalidInputError as error:
            raise ConfigError(f"InstructionFollowingReward: {error}") from None
        self.instruction_id_list, self.kwargs = instruction_id_list, kwargs
        self.mode, self.score_by, self.part = mode, score, part

    def load(self) -> None:
        """Read the language model."""
        load_detector()

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The share followed, with a component an instruction that says what was found."""
        instructions = self._instructions_of(trajectory)
        response = trajectory.response
        if self.part == "answer":
            response = split_thinking(response).answer
        metrics: dict[str, MetricRewardOutput] = {}
        for one in instructions:
            found = one.ask(response) if self.mode == "strict" else one.ask_loosely(response)
            metrics[_unused_name(one.id, metrics)] = MetricRewardOutput(float(found.is_followed), found.reason)
        followed = sum(metric.score == 1.0 for metric in metrics.values())
        share = followed / len(instructions)
        reason = f"{followed} of {len(instructions)} instructions followed ({self.mode})"
        return RewardOutput(share if self.score_by == "fraction" else float(share == 1.0), metrics, reason=reason)

    def _instructions_of(self, trajectory: Trajectory) -> list[Instruction]:
        for place in (_label_of(trajectory.label), trajectory.metadata):
            if place.get(_IDS) is not None:
                kwargs = _plain(place.get(_KWARGS), _KWARGS)
                if isinstance(kwargs, Sequence) and not isinstance(kwargs, str):
                    kwargs = [_plain(one, _KWARGS) for one in kwargs]
                return read_instructions(_plain(place[_IDS], _IDS), kwargs)
        if self._own is None:
            raise InvalidInputError(
                f"instruction_following needs {_IDS!r} (and {_KWARGS!r}) in the label or the metadata; "
                f"found the label {shown(trajectory.label)} and the metadata {sorted(map(str, trajectory.metadata))}"
            )
        return self._own


def _label_of(label: Any) -> Mapping[str, Any]:
    """The label where it is a dict, also as JSON; an empty one where it is something else, an answer perhaps."""
    if isinstance(label, str) and _IDS in label:
        label = _plain(label, "the label")
    return label if isinstance(label, Mapping) else {}


def _plain(value: Any, what: str) -> Any:
    """A column's value as lists and dicts: from JSON, or from an array."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{what} must be JSON, found {shown(value)}: {error!s:.80}") from None
    return value.tolist() if hasattr(value, "tolist") else value


def _unused_name(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, numbered where an instruction is asked twice with different arguments."""
    count = sum(other == name or other.startswith(f"{name}#") for other in taken)
    return f"{name}#{count + 1}" if count else name
