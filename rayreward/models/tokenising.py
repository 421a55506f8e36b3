"""A tokenizer and the rules by which a reward model's texts become ids: what all templates share.

What arrives: texts and chats. What leaves: ids that fit the model, or an `InvalidInputError`. It promises: BOS is there
at most once, a response's tail is never cut, and what was cut of the prompt is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from rayreward.errors import InvalidInputError, MissingExtraError, RewardLoadError
from rayreward.messages import Message
from rayreward.models.inputs import ModelInput
from rayreward.sample import Sample
from rayreward.versioning import content_version

EosRule = Literal["as_written", "ensured", "openrlhf"]
"""How an input ends: as the template writes it; with the end-of-text token, put there where it is missing; or the same
by OpenRLHF's rule, which first drops trailing line ends and puts a space before the token, as its training data do."""

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function", "ipython"})

_REMEMBERED_PROMPTS = 256
_REMEMBERED_CHARS = 65_536
"""Prompts whose ids are kept, so that siblings tokenise theirs once, and how long they may be: a few MB, mostly."""


@dataclass(frozen=True)
class Rules:
    """How text becomes ids.

    Attributes:
        limit_tokens: the most ids of one input.
        eos: how an input ends.
        cuts_response: whether a response that is too long alone loses its oldest tokens; else it is refused.
        chat_template: a Jinja text; None joins prompt and response as they are.
        adds_special_tokens: whether the tokenizer adds its own (BOS, …) to texts without a template.
    """

    limit_tokens: int
    eos: EosRule = "as_written"
    cuts_response: bool = False
    chat_template: str | None = None
    adds_special_tokens: bool = True


class Tokens:
    """A tokenizer and its rules: what all templates share.

    Args:
        tokenizer: of transformers; a fast one.
        rules: how text becomes ids.
    """

    def __init__(self, tokenizer: Any, rules: Rules) -> None:
        self.tokenizer, self.rules = tokenizer, rules
        self.bos_id: int | None = tokenizer.bos_token_id
        self.eos_id: int | None = tokenizer.eos_token_id
        self._remembered_ids = lru_cache(_REMEMBERED_PROMPTS)(self._prompt_ids)

    def ids(self, text: str, *, adds_special_tokens: bool = False) -> list[int]:
        """The ids of a text; BOS at its front at most once."""
        ids: list[int] = list(self.encoding(text, adds_special_tokens=adds_special_tokens)["input_ids"])
        while len(ids) > 1 and ids[0] == ids[1] == self.bos_id:
            del ids[0]
        return ids

    def encoding(self, *texts: str, adds_special_tokens: bool = True) -> Any:
        """What the tokenizer makes of a text, or of a pair.

        Raises:
            InvalidInputError: half of a surrogate pair, which is no Unicode text and has no tokens.
        """
        for text in texts:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise InvalidInputError(
                    f"character {error.start} of a text of {len(text)} is half of a surrogate pair "
                    f"({text[error.start]!a}), which no tokenizer can read: repair or replace it"
                ) from None
        return self.tokenizer(*texts, add_special_tokens=adds_special_tokens)

    def prompt_ids(self, text: str, adds_special_tokens: bool) -> tuple[int, ...]:
        """`ids` of a text that siblings share, kept for them."""
        find = self._remembered_ids if len(text) <= _REMEMBERED_CHARS else self._prompt_ids
        return find(text, adds_special_tokens)

    def _prompt_ids(self, text: str, adds_special_tokens: bool) -> tuple[int, ...]:
        return tuple(self.ids(text, adds_special_tokens=adds_special_tokens))

    def check_template(self) -> None:
        """Look at the chat template's grammar before any sample does.

        Raises:
            RewardLoadError: it is no Jinja.
        """
        from jinja2 import TemplateSyntaxError

        if self.rules.chat_template is None:
            return
        try:
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": ""}], chat_template=self.rules.chat_template, tokenize=False
            )
        except TemplateSyntaxError as error:
            raise RewardLoadError(
                f"the chat template is no Jinja text that can be read: line {error.lineno}: {error.message}"
            ) from None
        except Exception:  # noqa: BLE001 - it wants another conversation; samples hear that, each its own
            pass

    def render(self, messages: Sequence[Message], *, opens_answer: bool = False) -> str:
        """Messages in the chat template, with the beginning of an answer where one follows.

        Raises:
            InvalidInputError: the template refuses them, or a role is unknown.
        """
        chat = []
        for position, message in enumerate(messages):
            if message.role not in _ROLES:
                raise InvalidInputError(
                    f"messages[{position}] has the role {message.role!r}; known are {', '.join(sorted(_ROLES))}"
                )
            chat.append({**message, "content": message.text})
        try:
            text: str = self.tokenizer.apply_chat_template(
                chat, chat_template=self.rules.chat_template, tokenize=False, add_generation_prompt=opens_answer
            )
        except Exception as error:  # noqa: BLE001 - the boundary: a template is a program, and raises what it likes
            roles = ", ".join(message.role for message in messages)
            raise InvalidInputError(f"the chat template refuses a conversation of the roles {roles}: {error}") from None
        return text

    def finish(self, text: str) -> str:
        """A text that ends by the rule."""
        eos = self.tokenizer.eos_token
        if self.rules.eos == "as_written" or not eos:
            return text
        if self.rules.eos == "openrlhf":
            text = text.rstrip("\n")
            return text if text.endswith(eos) else f"{text} {eos}"
        return text if text.endswith(eos) else text + eos

    def fit(self, ids: Sequence[int], prefix_tokens: int, *, is_boundary: bool) -> ModelInput:
        """The input of these ids: over the limit, the prompt's oldest tokens go; BOS stays.

        Args:
            ids: all of them.
            prefix_tokens: how many are the prompt's, where `is_boundary`; else a prefix that siblings share.
            is_boundary: whether it is known where the response begins. Where it is not, all may be cut.

        Raises:
            InvalidInputError: there are none, or the response alone is over the limit.
        """
        if not ids:
            raise InvalidInputError("the sample's text has no token to score")
        cut = len(ids) - self.rules.limit_tokens
        if cut <= 0:
            return ModelInput(tuple(ids), min(prefix_tokens, len(ids) - 1))
        kept = 1 if ids[0] == self.bos_id and self.rules.limit_tokens > 1 else 0
        if is_boundary and cut > prefix_tokens - kept and not self.rules.cuts_response:
            raise InvalidInputError(too_long(len(ids) - prefix_tokens + kept, self.rules.limit_tokens))
        left = (*ids[:kept], *ids[kept + cut :])
        prefix_tokens = max(prefix_tokens - cut, 0)
        return ModelInput(left, min(prefix_tokens, len(left) - 1), truncated_tokens=cut)

    def fingerprint(self, *parts: Any) -> str:
        """A content hash of the tokenizer, the rules and `parts`."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        content = backend.to_str() if backend is not None else sorted(self.tokenizer.get_vocab().items())
        template = self.rules.chat_template or self.tokenizer.chat_template
        special = {name: str(one) for name, one in self.tokenizer.special_tokens_map.items()}
        return content_version(content, template, special, self.rules, *parts)


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a checkpoint.

    Raises:
        RewardLoadError: there is none, or it cannot be read.
        MissingExtraError: transformers is not installed.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(
            f"reward models need transformers ({error}): pip install 'rayreward[models]'"
        ) from error
    trusts = (False, True) if trust_remote_code else (False,)  # what transformers has itself goes first
    failure: Exception | None = None
    for trust in trusts:
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
            _never_cuts(tokenizer)
            return tokenizer
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a library, or code that came along, raises
            failure = error
    raise RewardLoadError(
        f"{str(folder)!r} cannot be loaded: its tokenizer: {failure}. A reward model is read with the tokenizer that "
        f"it was trained with: save that into its folder"
    ) from failure


def _never_cuts(tokenizer: Any) -> None:
    """Switch off the cutting and padding that some tokenizer files ask for: what is cut is decided here.

    They would be switched off by the first call, which changes the tokenizer while other threads read it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()


def last_id(tokenizer: Any, text: str) -> int:
    """The id of a text that is one token; what a tokenizer puts before it to open a word does not count.

    Raises:
        RewardLoadError: the tokenizer has no such token.
    """
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    spelled = [one for one in ids if str(tokenizer.decode([one])).strip() or not text.strip()]
    if not ids or ids[-1] == tokenizer.unk_token_id or (len(spelled) != 1 and text.strip()):
        raise RewardLoadError(
            f"{text!r} is no single token of this tokenizer (its ids are {ids}): give it as the model was trained with"
        )
    return int(ids[-1])


def check_readable(sample: Sample) -> None:
    """Refuse what a model of text would overlook.

    Raises:
        InvalidInputError: a part that is no text, or a conversation that no response ends.
    """
    unread = [kind for message in sample.messages for kind in message.unread_parts]
    if unread:
        raise InvalidInputError(f"the reward model reads text only, found a part of type {unread[0]!r}")
    last = sample.messages[-1] if sample.messages else None
    if last is None or last.role != "assistant":
        found = "no message" if last is None else f"a message of the role {last.role!r}"
        raise InvalidInputError(
            f"a conversation is scored by the assistant's response that ends it, found {found} there"
        )


def common_prefix(ids: Sequence[int], others: Sequence[int]) -> int:
    """How many ids both begin with: fewer than the prompt has where its last token grows together with the response.

    Example:
        >>> common_prefix([1, 2, 3, 9], [1, 2, 4])
        2
    """
    shortest = min(len(ids), len(others))
    return next((at for at in range(shortest) if ids[at] != others[at]), shortest)


def fits_model(limits: Mapping[str, int | None], asked_tokens: int) -> int:
    """The most tokens of one input: what was asked for, and never more than any of the model's own limits.

    Example:
        >>> fits_model({"max_position_embeddings": 512, "model_max_length": None}, 4096)
        512
    """
    return min([asked_tokens, *(one for one in limits.values() if one)])


def too_long(found_tokens: int, limit_tokens: int) -> str:
    """The message about a response that does not fit alone."""
    return (
        f"the response alone has {found_tokens} tokens with its special ones, and the model reads {limit_tokens}: a "
        f"score of a part would be another response's. Raise max_length where the model allows it, or give "
        f"too_long='cut' to score the tail"
    )
