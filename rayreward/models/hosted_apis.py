"""What the APIs of hosted reward models are asked, and how their answers are read.

What arrives: a conversation, or its token ids, then an answer's JSON. What leaves: a route and a body, then a number
with its components. Nothing is sent here. An answer that does not have exactly the shape that the API promises raises:
no number is taken from a text that merely contains one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rayreward.errors import ConfigError, InvalidInputError, InvalidOutputError, did_you_mean
from rayreward.types import MetricRewardOutput, RewardOutput

NEMOTRON_WEIGHTS: Mapping[str, float] = {
    "helpfulness": 0.3,
    "correctness": 0.74,
    "coherence": 0.46,
    "complexity": 0.47,
    "verbosity": -0.33,
}
"""What the model card of Nemotron-4-340B-Reward recommends where one number is wanted. Attributes lie in 0 to 4."""

_PAIR = re.compile(r"\s*([A-Za-z][\w -]*?)\s*[:=]\s*(-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?:[,;\n]|$)")


class UnreadableReplyError(InvalidOutputError):
    """A hosted model's answer that is not what its API promises."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One sample as an API may take it.

    Attributes:
        messages: the whole conversation, the response last, in OpenAI's shape.
        prompt: the prompt side as one text.
        response: the response alone.
        ids: the conversation as token ids of the model's own template; empty where no tokenizer is known here.
    """

    messages: Sequence[Mapping[str, Any]]
    prompt: str
    response: str
    ids: tuple[int, ...] = ()


class HostedApi(Protocol):
    """How one kind of server is asked and read."""

    def url(self, base_url: str) -> str:
        """Where to post to."""
        ...

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """What to post.

        Raises:
            InvalidInputError: this API cannot be asked about such a sample.
        """
        ...

    def read(self, answer: Any) -> RewardOutput:
        """The score in an answer's JSON.

        Raises:
            UnreadableReplyError: there is none.
        """
        ...


@dataclass(frozen=True)
class AttributesApi:
    """Chat completions whose text is ``helpfulness:1.2,correctness:0.4,…``: NVIDIA NIM, Nemotron.

    Args:
        weights: of the attributes that make the score, by name; those of Nemotron-4-340B-Reward by default. A model
            with one output is ``{"reward": 1.0}``.

    Raises:
        ConfigError: no attribute, or a weight that is no finite number.

    Example:
        >>> reply = {"choices": [{"message": {"content": "helpfulness:2.0,verbosity:1.0"}}]}
        >>> AttributesApi({"helpfulness": 1.0, "verbosity": -0.5}).read(reply).score
        1.5
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(NEMOTRON_WEIGHTS))

    def __post_init__(self) -> None:
        named = {str(name).strip().lower(): weight for name, weight in self.weights.items()}
        if not named:
            raise ConfigError("weights={}: name the attributes that make the score, such as {'helpfulness': 1.0}")
        for name, weight in named.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
                raise ConfigError(f"weights: that of {name!r} is {weight!r}, where a finite number is needed")
        object.__setattr__(self, "weights", named)

    def url(self, base_url: str) -> str:
        """The chat route."""
        return f"{base_url}/chat/completions"

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """The conversation; the model rates its last turn."""
        return {"model": model_id, "messages": [dict(message) for message in asked.messages]}

    def read(self, answer: Any) -> RewardOutput:
        """The weighted attributes; each is a component, those without a weight with weight 0."""
        found = _attributes(answer)
        missing = sorted(self.weights.keys() - found.keys())
        if missing:
            raise UnreadableReplyError(
                f"the reply lacks {', '.join(missing)}; it names {', '.join(sorted(found)) or 'no attribute'}. If the "
                f"model has other attributes, name them in weights"
            )
        score = math.fsum(weight * found[name] for name, weight in self.weights.items())
        metrics = {name: MetricRewardOutput(value, weight=self.weights.get(name, 0.0)) for name, value in found.items()}
        return RewardOutput(score, metrics)


def _attributes(answer: Any) -> dict[str, float]:
    """Of the text; or of the log probabilities, where NVIDIA's cloud has put them under the attributes' names."""
    choice = _first(answer, "choices")
    text = _at(choice, "message", "content")
    if isinstance(text, str) and text.strip():
        return _pairs(text)
    tokens = _at(choice, "logprobs", "content")
    if not isinstance(tokens, list) or not tokens:
        raise UnreadableReplyError("the reply has neither a text nor log probabilities")
    return _unique((str(_at(one, "token")), _at(one, "logprob")) for one in tokens)


def _pairs(text: str) -> dict[str, float]:
    found, end = [], 0
    while end < len(text):
        pair = _PAIR.match(text, end)
        if pair is None:
            if text[end:].strip():
                raise UnreadableReplyError(
                    f"the reply is no list of attribute:number, but {text[:200]!r}: is it a reward model?"
                )
            break
        found.append((pair[1], float(pair[2])))
        end = pair.end()
    return _unique(found)


def _unique(pairs: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in pairs:
        key = name.strip().lower()
        if key in found:
            raise UnreadableReplyError(f"the reply names {key} twice")
        found[key] = _number(value, key)
    return found


@dataclass(frozen=True)
class ClassifyApi:
    """``/classify`` of vLLM's own server, for classifiers with one label. Raw logits are asked for."""

    def url(self, base_url: str) -> str:
        """At the server's root, beside ``/v1``."""
        return f"{_root(base_url)}/classify"

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """Token ids where they are known, else the conversation, to which the server applies its template."""
        return {"model": model_id, **_input(asked), "use_activation": False}

    def read(self, answer: Any) -> RewardOutput:
        """The one label's logit."""
        return RewardOutput(_only_number(_at(_first(answer, "data"), "probs"), "label"))


@dataclass(frozen=True)
class PoolingApi:
    """``/pooling`` of vLLM's own server, with the task "classify". Raw logits are asked for."""

    def url(self, base_url: str) -> str:
        """At the server's root, beside ``/v1``."""
        return f"{_root(base_url)}/pooling"

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """As for ``/classify``."""
        return {
            "model": model_id, **_input(asked), "task": "classify", "use_activation": False, "encoding_format": "float",
        }  # fmt: skip

    def read(self, answer: Any) -> RewardOutput:
        """The one output."""
        return RewardOutput(_only_number(_at(_first(answer, "data"), "data"), "output"))


@dataclass(frozen=True)
class ScoreApi:
    """``/score`` of vLLM's own server, for models that read prompt and response as a pair. Texts, not token ids."""

    def url(self, base_url: str) -> str:
        """At the server's root, beside ``/v1``."""
        return f"{_root(base_url)}/score"

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """Prompt and response; raw logits are asked for."""
        if not asked.prompt:
            raise InvalidInputError("api='score' compares a prompt with a response, and the sample has no prompt")
        return {"model": model_id, "text_1": asked.prompt, "text_2": asked.response, "use_activation": False}

    def read(self, answer: Any) -> RewardOutput:
        """The pair's score."""
        return RewardOutput(_number(_at(_first(answer, "data"), "score"), "score"))


@dataclass(frozen=True)
class PredictApi:
    """``/predict`` of text-embeddings-inference, for encoders with one label. Raw scores, and never cut silently."""

    def url(self, base_url: str) -> str:
        """At the server's root."""
        return f"{_root(base_url)}/predict"

    def body(self, model_id: str, asked: Asked) -> dict[str, Any]:
        """Prompt and response as a pair, or the response alone where there is no prompt."""
        texts = [asked.prompt, asked.response] if asked.prompt else [asked.response]
        return {"inputs": [texts], "raw_scores": True, "truncate": False}

    def read(self, answer: Any) -> RewardOutput:
        """The one label's score."""
        labels = answer[0] if isinstance(answer, list) and answer else None
        return RewardOutput(_only_number(labels and [_at(one, "score") for one in labels], "label"))


APIS = ("attributes", "classify", "pooling", "score", "predict")
"""What `build_api` knows."""


def build_api(name: str, weights: Mapping[str, float] | None = None) -> HostedApi:
    """The API of that name.

    Raises:
        ConfigError: there is none, or weights for one without attributes.
    """
    if name not in APIS:
        raise ConfigError(f"api={name!r} is unknown; {did_you_mean(name, APIS)}")
    if name == "attributes":
        return AttributesApi() if weights is None else AttributesApi(weights)
    if weights is not None:
        raise ConfigError(f"weights belong to api='attributes'; api={name!r} answers one number")
    others: dict[str, HostedApi] = {
        "classify": ClassifyApi(), "pooling": PoolingApi(), "score": ScoreApi(), "predict": PredictApi(),
    }  # fmt: skip
    return others[name]


def _input(asked: Asked) -> dict[str, Any]:
    if asked.ids:
        return {"input": list(asked.ids)}
    return {"messages": [dict(message) for message in asked.messages]}


def _root(base_url: str) -> str:
    return base_url.removesuffix("/v1")


def _first(answer: Any, key: str) -> Any:
    listed = _at(answer, key)
    if not isinstance(listed, list) or len(listed) != 1:
        found = f"{len(listed)} of them" if isinstance(listed, list) else f"{answer!r:.200}"
        raise UnreadableReplyError(f"the answer should have one entry under {key!r}, found {found}")
    return listed[0]


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _only_number(values: Any, what: str) -> float:
    while isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    if not isinstance(values, list) or len(values) != 1:
        found = len(values) if isinstance(values, list) else f"{values!r:.80}"
        raise UnreadableReplyError(f"a reward model has one {what}, and the answer has {found}")
    return _number(values[0], what)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UnreadableReplyError(f"the answer's {what} is {value!r:.80}, where a finite number is needed")
    return float(value)
