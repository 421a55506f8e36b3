"""Solutions step by step, as process reward models read them.

What arrives: samples, with `steps` or a response that is split where the model's training data were. What leaves:
`ModelInput` values whose mark ``step`` holds one position a step. It promises: no step is cut, and a text that spells
the step's token itself is refused, since it would be read as a step.

Three forms are known. "chat": the steps in one turn of the chat template, each followed by the step token
(Qwen2.5-Math-PRM). "parts": prompt and steps tokenised one by one, each step followed by the separator (TRL's
PRMTrainer; Skywork-o1-Open-PRM, with a line end behind the prompt). "text": a line a step, the step token behind a
space (Math-Shepherd).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from rayreward.errors import InvalidInputError, shown
from rayreward.messages import Message
from rayreward.models.inputs import ModelInput
from rayreward.models.tokenising import Tokens, check_readable, common_prefix, last_id, too_long
from rayreward.sample import Sample

StepForm = Literal["chat", "parts", "text"]


class StepTemplate:
    """Prompt and steps as one input.

    Args:
        tokens: the tokenizer and its rules.
        form: see the module.
        step_token: what follows each step.
        closes_prompt: what follows the prompt, in the form "parts".

    Attributes:
        fingerprint: see `Template`.

    Raises:
        RewardLoadError: the step's token is no single token.
    """

    def __init__(self, tokens: Tokens, *, form: StepForm, step_token: str, closes_prompt: str = "") -> None:
        self._tokens, self._form, self._step_token, self._closes = tokens, form, step_token, closes_prompt
        self._step_id = last_id(tokens.tokenizer, step_token)
        self._separator = "\n\n" if form == "chat" else step_token if form == "parts" else "\n"
        self.fingerprint = tokens.fingerprint("StepTemplate", form, step_token, closes_prompt)

    def encode(self, sample: Sample) -> ModelInput:
        """See `Template.encode`."""
        check_readable(sample)
        steps = self._steps(sample)
        if self._form == "parts":
            return self._encode_parts(sample.prompt, steps)
        is_query = isinstance(sample.metadata.get("query"), str)
        if self._form == "text":
            text = f"{sample.prompt} " + "\n".join(f"{step} {self._step_token}" for step in steps)
            return self._encode_text(text, sample.prompt, len(steps), adds_special_tokens=not is_query)
        response = "".join(step + self._step_token for step in steps)
        if is_query:  # the trainer's prompt has its template already
            return self._encode_text(sample.prompt + response, sample.prompt, len(steps))
        shown = sample.original_messages
        prompt = self._tokens.render(shown, opens_answer=True) if shown else ""
        text = self._tokens.render((*shown, Message(role="assistant", content=response)))
        return self._encode_text(text, prompt, len(steps))

    def _steps(self, sample: Sample) -> list[str]:
        if sample.steps is None:
            found = [step for step in sample.response.split(self._separator) if step.strip()]
        else:
            found = _checked(sample.steps)
        if not found:
            what = "response" if sample.steps is None else "list of steps"
            raise InvalidInputError(f"the sample has no step to judge: its {what} is empty")
        if any(self._step_token in step for step in found) and self._step_token.strip():
            raise InvalidInputError(
                f"a step spells {self._step_token!r}, which the model reads as a step's end: take it out"
            )
        return found

    def _encode_text(self, text: str, prompt: str, steps: int, *, adds_special_tokens: bool = False) -> ModelInput:
        ids = self._tokens.ids(text, adds_special_tokens=adds_special_tokens)
        prefix_tokens = common_prefix(ids, self._tokens.prompt_ids(prompt, adds_special_tokens)) if prompt else 0
        return self._marked(ids, prefix_tokens, [at for at, one in enumerate(ids) if one == self._step_id], steps)

    def _encode_parts(self, prompt: str, steps: Sequence[str]) -> ModelInput:
        bos = [] if self._tokens.bos_id is None else [self._tokens.bos_id]
        ids = [*bos, *self._tokens.prompt_ids(prompt + self._closes, False)]
        separator = self._tokens.ids(self._step_token)
        prefix_tokens, places = len(ids), []
        for step in steps:
            ids += [*self._tokens.ids(step), *separator]
            places.append(len(ids) - 1)
        return self._marked(ids, prefix_tokens, places, len(steps))

    def _marked(self, ids: Sequence[int], prefix_tokens: int, places: Sequence[int], steps: int) -> ModelInput:
        if len(places) != steps:
            raise InvalidInputError(
                f"{steps} steps have {len(places)} step tokens between them: the text spells {self._step_token!r} "
                f"itself, or its template changes it"
            )
        if places[-1] + 1 - prefix_tokens > self._tokens.rules.limit_tokens:
            raise InvalidInputError(too_long(len(ids) - prefix_tokens, self._tokens.rules.limit_tokens))
        made = self._tokens.fit(ids[: places[-1] + 1], prefix_tokens, is_boundary=True)
        if made.truncated_tokens and places[0] < prefix_tokens:
            raise InvalidInputError(too_long(len(ids) - prefix_tokens, self._tokens.rules.limit_tokens))
        return replace(made, marks={"step": tuple(at - made.truncated_tokens for at in places)})


def _checked(steps: Sequence[str]) -> list[str]:
    """The caller's own steps, none left out: rewards are one a step, by position."""
    for position, step in enumerate(steps):
        if not isinstance(step, str) or not step.strip():
            raise InvalidInputError(f"steps[{position}] must be a text to judge, found {shown(step)}: leave it out")
    return list(steps)
