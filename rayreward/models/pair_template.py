"""Two candidates beside their source, as PairRM reads them.

What arrives: a prompt and two responses. What leaves: one `ModelInput`, its marks at the three special tokens that the
head reads. It promises: neither candidate is cut; of a source that leaves them no room the oldest tokens go, and are
counted.
Source: the tokenisation published with llm-blender/PairRM-hf. It cuts the ends of long texts at fixed lengths of each;
here one limit holds for the pair. Where nothing must be cut the ids are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.errors import InvalidInputError, RewardLoadError
from rayreward.models.inputs import ModelInput
from rayreward.models.pair_head import PAIR_MARKS
from rayreward.models.tokenising import Tokens, check_readable
from rayreward.sample import Sample

PAIR_TOKENS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
PAIR_LIMIT_TOKENS = 2048
"""Source (1224) and both candidates (412 each) of PairRM's training together. The model's positions are relative, so
that the 512 of its config.json are no limit."""


class PairTemplate:
    """Prompt and two responses as one input.

    Args:
        tokens: the tokenizer and its rules.

    Attributes:
        fingerprint: see `Template`.

    Raises:
        RewardLoadError: the tokenizer lacks one of the three special tokens.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.fingerprint = tokens.fingerprint("PairTemplate")
        known = tokens.tokenizer.get_vocab()
        missing = [token for token in PAIR_TOKENS if token not in known]
        if missing:
            raise RewardLoadError(
                f"the tokenizer has no {', '.join(missing)}: a pair head is read there. Give the tokenizer of "
                f"llm-blender/PairRM-hf"
            )
        self._ids = tuple(known[token] for token in PAIR_TOKENS)

    def encode(self, sample: Sample) -> ModelInput:
        """Refused: a pair is more than one sample.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(
            "a pairwise model compares two responses to one prompt: give it the samples of a group, not one alone"
        )

    def encode_samples(self, first: Sample, second: Sample) -> ModelInput:
        """Two samples of one prompt.

        Raises:
            InvalidInputError: their prompts differ, a part is no text, or the pair does not fit.
        """
        for sample in (first, second):
            check_readable(sample)
        if first.prompt != second.prompt:
            raise InvalidInputError("a pairwise model compares two responses to one prompt, found two prompts")
        return self.encode_pair(first.prompt, first.response, second.response)

    def encode_pair(self, prompt: str, first: str, second: str) -> ModelInput:
        """A source and two candidates, in this order.

        Raises:
            InvalidInputError: both candidates together do not fit, or a text spells one of the special tokens.
        """
        source, *candidates = (
            self._tokens.ids(token + text, adds_special_tokens=True)
            for token, text in zip(PAIR_TOKENS, (prompt, first, second), strict=True)
        )
        cut = sum(map(len, (source, *candidates))) - self._tokens.rules.limit_tokens
        if cut > 0:
            source = self._shorten(source, cut, sum(map(len, candidates)))
        ids = (*source, *candidates[0], *candidates[1])
        marks = {name: self._place(ids, one) for name, one in zip(PAIR_MARKS, self._ids, strict=True)}
        return ModelInput(ids, marks=marks, truncated_tokens=max(cut, 0))

    def _shorten(self, source: Sequence[int], cut: int, candidate_tokens: int) -> list[int]:
        """The source without its oldest tokens; its special ones stay."""
        start = list(source).index(self._ids[0]) + 1
        if cut > len(source) - start - 1:
            raise InvalidInputError(
                f"the two responses have {candidate_tokens} tokens together, and the model reads "
                f"{self._tokens.rules.limit_tokens} with their prompt: compare shorter ones"
            )
        return [*source[:start], *source[start + cut :]]

    def _place(self, ids: Sequence[int], token: int) -> tuple[int]:
        places = [at for at, one in enumerate(ids) if one == token]
        if len(places) != 1:
            name = self._tokens.tokenizer.convert_ids_to_tokens(token)
            raise InvalidInputError(f"a text of the pair spells {name!r}, at which the model reads: take it out")
        return (places[0],)
