"""What a template makes of a few plain conversations: special tokens, and what is cut.

What arrives: a model's template. What leaves: facts, each right, wrong, or (None) not to be told of such a template.
"""

from __future__ import annotations

from dataclasses import dataclass

from rayreward.errors import RayRewardError
from rayreward.models.checkpoint import read_checkpoint
from rayreward.models.inputs import ModelInput
from rayreward.models.settings import ModelSettings
from rayreward.models.template import RewardTemplate, Template
from rayreward.models.tokenising import load_tokenizer
from rayreward.sample import Sample

_PROMPT, _RESPONSE, _OTHER_RESPONSE = "What is 2 + 2?", "It is 4.", "No idea a."


@dataclass(frozen=True)
class TextFact:
    """One fact: whether it is as it should be, and what was found."""

    name: str
    is_right: bool | None
    found: str


def text_facts(template: Template, settings: ModelSettings) -> list[TextFact]:
    """BOS, EOS and what is cut.

    Raises:
        RewardLoadError: no such checkpoint, or its tokenizer cannot be read.
    """
    checkpoint = read_checkpoint(settings.model_path, revision=settings.revision)
    tokenizer = load_tokenizer(checkpoint.folder, trust_remote_code=settings.trust_remote_code)
    try:
        unit = template.encode(Sample(prompt=_PROMPT, response=_RESPONSE))
    except RayRewardError as error:
        is_right = False if isinstance(template, RewardTemplate) else None  # what reads pairs or steps need not
        return [TextFact("a plain conversation", is_right, f"it cannot be read by this model: {error}")]
    return [
        _read(template, unit),
        _first(unit, tokenizer.bos_token_id),
        _last(unit, tokenizer.eos_token_id),
        _cut(template, unit, settings.max_length),
    ]


def _read(template: Template, unit: ModelInput) -> TextFact:
    """Another response is another text: a template may print user turns only."""
    other = template.encode(Sample(prompt=_PROMPT, response=_OTHER_RESPONSE))
    if other.ids == unit.ids:
        return TextFact(
            "a plain conversation", False, "two responses are the same tokens: the template leaves them out"
        )
    return TextFact("a plain conversation", True, f"prompt and response are {len(unit.ids)} tokens")


def _first(unit: ModelInput, bos: int | None) -> TextFact:
    name = "begin of text"
    if bos is None:
        return TextFact(name, True, "the tokenizer has no BOS, and none is written")
    count = unit.ids.count(bos)
    leading = next((at for at, one in enumerate(unit.ids) if one != bos), len(unit.ids))
    if leading > 1:
        return TextFact(name, False, f"BOS is written {leading} times: does the chat template write one of its own?")
    where = "first" if leading else "not first"
    return TextFact(name, True, f"BOS is {where}, and {count} times in the text")


def _last(unit: ModelInput, eos: int | None) -> TextFact:
    name = "end of text"
    if eos is None:
        return TextFact(name, True, "the tokenizer has no EOS")
    if unit.ids[-1] == eos:
        doubled = len(unit.ids) > 1 and unit.ids[-2] == eos
        return TextFact(name, not doubled, "EOS is written twice at the end" if doubled else "EOS is the last token")
    return TextFact(
        name, True, f"the template ends with token {unit.ids[-1]}, not EOS ({eos}); appends_eos=True adds it"
    )


def _cut(template: Template, short: ModelInput, max_length: int) -> TextFact:
    """A prompt that is far too long loses its beginning; the response's end stays."""
    name = "too long a prompt"
    try:
        unit = template.encode(Sample(prompt=f"{_PROMPT} " * max_length, response=_RESPONSE))
    except RayRewardError as error:
        return TextFact(name, None, f"such a conversation is refused: {error}")
    tail = max(1, len(short.ids) - short.prefix_tokens) if short.prefix_tokens else 1
    is_kept = unit.ids[-tail:] == short.ids[-tail:]
    is_right = is_kept and unit.truncated_tokens > 0 and len(unit.ids) <= max_length
    kept = "kept" if is_kept else "cut"
    return TextFact(
        name, is_right, f"{unit.truncated_tokens} tokens of the prompt were cut; the response's end was {kept}"
    )
