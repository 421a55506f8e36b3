"""From a sample to the token ids that a reward model reads: the one place where text becomes input.

What arrives: samples. What leaves: `ModelInput` values, or an `InvalidInputError` of that sample. It promises: the chat
template is applied once; no special token is added where a template wrote it, so that BOS is there once; the response's
tail is never cut, and what was cut of the prompt is counted. A trainer's own text (OpenRLHF's `query`) is taken as it
is; so are the response's token ids where they are this tokenizer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rayreward.errors import InvalidInputError, shown
from rayreward.models.inputs import ModelInput
from rayreward.models.tokenising import Tokens, check_readable, common_prefix
from rayreward.sample import Sample


class Template(Protocol):
    """Turns samples into what a model reads.

    Attributes:
        fingerprint: a content hash of tokenizer, template and rules; equal ones make equal ids.
    """

    @property
    def fingerprint(self) -> str:
        """See the class."""
        ...

    def encode(self, sample: Sample) -> ModelInput:
        """The model's input of one sample.

        Raises:
            InvalidInputError: the sample cannot be read as the model was trained to.
        """
        ...


class RewardTemplate:
    """Conversations for decoders.

    The response's `Sample.token_ids` are read as they are where they spell the response in this tokenizer, ended as the
    template ends it; ids of a policy with another tokenizer are left alone, and the text is read.

    Args:
        tokens: the tokenizer and its rules.

    Attributes:
        fingerprint: see `Template`.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.fingerprint = tokens.fingerprint("RewardTemplate")

    def encode(self, sample: Sample) -> ModelInput:
        """See `Template.encode`."""
        query = sample.metadata.get("query")
        if isinstance(query, str):
            # A trainer's text has all its special tokens; where its prompt begins it, the response is known too.
            known = sample.prompt if query.startswith(sample.prompt) else ""
            return self._encode_text(self._tokens.finish(query), known, is_boundary=bool(known))
        check_readable(sample)
        if self._tokens.rules.chat_template is None:
            prompt, text = sample.prompt, sample.prompt + sample.response
        else:
            shown = sample.original_messages
            prompt = self._tokens.render(shown, opens_answer=True) if shown else ""
            text = self._tokens.render(sample.messages)
        text = self._tokens.finish(text)
        own_ids = self._own_ids(sample)
        if own_ids is not None and text.startswith(prompt + sample.response):
            return self._encode_ids(prompt, own_ids, text[len(prompt) + len(sample.response) :])
        return self._encode_text(text, prompt, is_boundary=True)

    @property
    def _adds_special_tokens(self) -> bool:
        return self._tokens.rules.chat_template is None and self._tokens.rules.adds_special_tokens

    def _encode_text(self, text: str, prompt: str, *, is_boundary: bool) -> ModelInput:
        adds = self._adds_special_tokens and is_boundary
        ids = self._tokens.ids(text, adds_special_tokens=adds)
        prefix_tokens = common_prefix(ids, self._tokens.prompt_ids(prompt, adds)) if prompt else 0
        return self._tokens.fit(ids, prefix_tokens, is_boundary=is_boundary)

    def _encode_ids(self, prompt: str, response_ids: Sequence[int], closing: str) -> ModelInput:
        """The prompt, the response's own ids, and what the template closes a response with, as far as it is missing."""
        prompt_ids = self._tokens.prompt_ids(prompt, self._adds_special_tokens)
        closing_ids, eos = self._tokens.ids(closing), self._tokens.eos_id
        if response_ids[-1] == eos and eos in closing_ids:
            closing_ids = closing_ids[closing_ids.index(eos) + 1 :]
        return self._tokens.fit([*prompt_ids, *response_ids, *closing_ids], len(prompt_ids), is_boundary=True)

    def _own_ids(self, sample: Sample) -> tuple[int, ...] | None:
        """The response's ids where they are this tokenizer's: they spell the response. Else the policy has another."""
        ids = sample.token_ids
        if not all(isinstance(one, int) for one in ids or ()):
            raise InvalidInputError(f"token_ids must be whole numbers, found {shown(ids)}")
        if not ids or min(ids) < 0 or max(ids) >= len(self._tokens.tokenizer):
            return None
        for skips in (True, False):
            text: str = self._tokens.tokenizer.decode(list(ids), skip_special_tokens=skips)
            if text.strip() == sample.response.strip():
                return ids
        return None
