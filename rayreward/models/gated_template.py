"""Conversations for gated heads: those of decoders, with the gate's place marked.

What arrives: samples. What leaves: `ModelInput` values with the mark ``gate``: the token that ends the prompt, which is
the first of those that open the last answer, as ArmoRM's own code finds it. It promises: a response that spells these
tokens itself does not move the gate, where it is known where the response begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rayreward.errors import InvalidInputError, RewardLoadError
from rayreward.models.inputs import ModelInput
from rayreward.models.template import RewardTemplate
from rayreward.models.tokenising import Tokens
from rayreward.sample import Sample

OPENINGS = {
    "llama": "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma2": "<end_of_turn>\n<start_of_turn>model\n",
}
"""What stands between a prompt and its answer, by model type: the end of a turn, and the beginning of the model's."""


class GatedTemplate:
    """A `RewardTemplate` that marks the gate.

    Args:
        tokens: the tokenizer and its rules.
        opening: the text between prompt and answer.

    Attributes:
        fingerprint: see `Template`.

    Raises:
        RewardLoadError: the tokenizer has no tokens for it.
    """

    def __init__(self, tokens: Tokens, opening: str) -> None:
        self._template = RewardTemplate(tokens)
        self.fingerprint = tokens.fingerprint("GatedTemplate", opening)
        ids = tokens.ids(opening)
        if len(ids) < 3 or tokens.tokenizer.unk_token_id in ids:
            raise RewardLoadError(
                f"the tokenizer has no tokens for {opening!r}, at which a gated head reads the prompt: it is not the "
                f"one that the model was trained with"
            )
        # Without its last token, a line end, which grows together with a response that begins with one.
        self._opening = tuple(ids[:-1])

    def encode(self, sample: Sample) -> ModelInput:
        """See `Template.encode`."""
        made = self._template.encode(sample)
        last = made.prefix_tokens - 1 if made.prefix_tokens else len(made.ids)
        at = _last_place(made.ids, self._opening, last)
        if at is None:
            raise InvalidInputError(
                "no turn of the assistant is opened in the text: a gated model reads what the prompt asks for there"
            )
        return replace(made, marks={"gate": (at,)})


def _last_place(ids: Sequence[int], pattern: tuple[int, ...], before: int) -> int | None:
    """Where the pattern begins for the last time before a position."""
    for at in range(min(before, len(ids) - len(pattern)), -1, -1):
        if tuple(ids[at : at + len(pattern)]) == pattern:
            return at
    return None
