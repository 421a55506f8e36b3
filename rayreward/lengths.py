"""How long a response is, in words, characters or tokens.

What arrives: a sample. What leaves: a number of units. Tokens are the sample's own ``token_ids`` where it carries them,
else those of a Hugging Face tokenizer, which is loaded when it is needed and never travels between processes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.loading import require_extra
from rayreward.sample import Sample

LengthUnit = Literal["words", "characters", "tokens"]
"""Words are split at white space."""


class LengthCounter:
    """Counts the units of responses; `asked_by` is the reward that its errors name.

    Raises:
        ConfigError: an unknown unit, or a tokenizer for a unit that needs none.
        MissingExtraError: a tokenizer without transformers.

    Example:
        >>> LengthCounter("words", asked_by="length").length_of(Sample(response="two words"))
        2
    """

    def __init__(self, unit: LengthUnit, *, asked_by: str, tokenizer: str | None = None) -> None:
        if unit not in get_args(LengthUnit):
            raise ConfigError(f"{asked_by}(unit={shown(unit)}): known are 'words', 'characters' and 'tokens'")
        if tokenizer is not None:
            if unit != "tokens":
                raise ConfigError(f"{asked_by} counts {unit}: a tokenizer means nothing there")
            require_extra("transformers", "models", asked_by=f"{asked_by} with a tokenizer")
        self.unit, self.tokenizer, self.asked_by = unit, tokenizer, asked_by
        self._tokenizer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_tokenizer": None}

    def load(self) -> None:
        """Load the tokenizer, where one is asked for."""
        if self.tokenizer is not None and self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self.tokenizer)

    def length_of(self, sample: Sample) -> int:
        """The length of the sample's response.

        Raises:
            InvalidInputError: tokens are asked for, the sample has no token_ids, and there is no tokenizer.
        """
        if self.unit == "characters":
            return len(sample.response)
        if self.unit == "words":
            return len(sample.response.split())
        if sample.token_ids is not None:
            return len(sample.token_ids)
        if self.tokenizer is None:
            raise InvalidInputError(
                f"{self.asked_by} counts tokens: it needs the sample's token_ids or a tokenizer, found none"
            )
        self.load()
        # A lone surrogate is no text to a tokenizer; what it is replaced by counts as one token too.
        text = sample.response.encode("utf-8", "replace").decode()
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])
