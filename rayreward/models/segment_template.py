"""Prompts and responses as pairs of segments, as encoders were trained to read them.

What arrives: samples. What leaves: `ModelInput` values with segments. It promises: every special token of the tokenizer
stays where it is, also where the prompt is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.errors import InvalidInputError
from rayreward.models.inputs import ModelInput
from rayreward.models.tokenising import Tokens, check_readable, too_long
from rayreward.sample import Sample


class SegmentTemplate:
    """Prompt and response as a pair of segments, as encoders take them; a response without a prompt is one segment.

    Args:
        tokens: the tokenizer and its rules.

    Attributes:
        fingerprint: see `Template`.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.fingerprint = tokens.fingerprint("SegmentTemplate")

    def encode(self, sample: Sample) -> ModelInput:
        """See `Template.encode`."""
        query = sample.metadata.get("query")
        if isinstance(query, str):
            return self._encode(query, is_boundary=False)
        check_readable(sample)
        if self._tokens.rules.chat_template is not None:
            return self._encode(self._tokens.render(sample.messages), is_boundary=False)
        texts = (sample.prompt, sample.response) if sample.prompt else (sample.response,)
        return self._encode(*texts, is_boundary=True)

    def _encode(self, *texts: str, is_boundary: bool) -> ModelInput:
        if not any(texts):
            raise InvalidInputError("the sample's text has no token to score")
        encoding = self._tokens.encoding(*texts)
        ids, segments = list(encoding["input_ids"]), list(encoding.get("token_type_ids") or ())
        cut = len(ids) - self._tokens.rules.limit_tokens
        if cut > 0:
            gone = self._oldest(encoding.sequence_ids(0), cut, is_pair=len(texts) == 2, is_boundary=is_boundary)
            ids = [one for at, one in enumerate(ids) if at not in gone]
            segments = [one for at, one in enumerate(segments) if at not in gone]
        return ModelInput(tuple(ids), segments=tuple(segments), marks={"first": (0,)}, truncated_tokens=max(cut, 0))

    def _oldest(self, parts: Sequence[int | None], count: int, *, is_pair: bool, is_boundary: bool) -> frozenset[int]:
        """Positions of the oldest tokens that may go; special tokens, whose part is None, stay."""
        texts = [at for at, part in enumerate(parts) if part is not None]
        has_prompt = is_pair or not is_boundary
        prompt = [at for at in texts if has_prompt and parts[at] == 0]
        response = texts[len(prompt) :]  # the prompt is the first part
        if count > len(prompt) and not (self._tokens.rules.cuts_response and count < len(prompt) + len(response)):
            raise InvalidInputError(too_long(len(parts) - len(prompt), self._tokens.rules.limit_tokens))
        return frozenset((*prompt, *response)[:count])
