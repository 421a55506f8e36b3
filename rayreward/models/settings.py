"""What a reward model is, and how it runs: one value that `build_backend` and `build_template` read.

What arrives: what a person writes. What leaves: a frozen value whose parts fit together, or a `ConfigError` that says
what to write. Nothing is read from disk here: whether the checkpoint fits is found where it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rayreward.errors import ConfigError, did_you_mean

BACKENDS = ("auto", "packed", "padded", "plain", "vllm")
DTYPES = ("float32", "bfloat16", "float16")
HEADS = ("auto", "linear", "gated", "pair", "step", "step_tokens")
AGGREGATES = ("min", "prod", "last", "mean")
PLAIN_TEXT = "plain"
"""As `chat_template`: the model was trained on prompt and response, one behind the other."""


@dataclass(frozen=True)
class ModelSettings:
    """A reward model and how it runs.

    Attributes:
        model_path: a folder, or a name of the Hugging Face hub.
        revision: of the hub: a branch, a tag or a commit; None is its newest.
        backend: "packed" computes no padding and shares prompts (decoders), "padded" takes every other model, "plain"
            is the one-at-a-time reference, "vllm" is vLLM's engine. "auto" chooses by the checkpoint.
        device: "cuda", "cuda:1", "cpu", …; None is CUDA where there is one.
        dtype: of the trunk; heads and scores are fp32 always.
        max_length: tokens a unit may have; never more than the model has positions for.
        max_step_tokens: tokens that one forward pass may carry; smaller needs less memory.
        normalize: whether the checkpoint's own mean and std are applied to `Reading.score`. `Reading.raw` never is.
        mean: replaces the checkpoint's.
        std: replaces the checkpoint's.
        appends_eos: whether an input that does not end in the end-of-text token gets one. "auto": checkpoints of
            OpenRLHF do, as in their training; all others read what their template writes.
        too_long: what becomes of a sample whose response alone is over `max_length`: "refuse" fails it, "cut" drops the
            response's oldest tokens as well.
        chat_template: replaces the tokenizer's: a Jinja text, the path of a file, or "plain" for models that were
            trained on prompt and response without one.
        attention: the implementation that transformers shall use ("sdpa", "eager", "flash_attention_2", …) where
            the backend leaves the choice.
        quantization: "4bit" or "8bit", by bitsandbytes.
        trust_remote_code: whether the checkpoint's own Python may run. Off: it is code of strangers.
        head: how the reward is read. "auto" recognises all but "step_tokens" (a causal language model that says
            `good_token` or `bad_token` at each step), which no checkpoint tells apart from an ordinary one.
        steps_as_score: how the steps' rewards of a process reward model become one score. There is no default: which
            is right depends on how it was trained.
        step_token: the token whose place holds a step's reward; None is the family's own.
        good_token: of "step_tokens" heads: said at a step that is right.
        bad_token: said at a step that is wrong.
        vllm: further arguments of vLLM's engine, as they are.
        probe: whether a few fixed texts are scored at each start, and a model that does not score as its plain forward
            does is refused (`rayreward.models.probing`). False serves it all the same.

    Raises:
        ConfigError: a value that is unknown, out of range, or fits no other.

    Example:
        >>> settings = ModelSettings("OpenRLHF/Llama-3-8b-rm-700k", dtype="bfloat16")
        >>> settings.backend, settings.max_step_tokens
        ('auto', 8192)
    """

    model_path: str
    backend: Literal["auto", "packed", "padded", "plain", "vllm"] = "auto"
    device: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_length: int = 4096
    max_step_tokens: int = 8192
    normalize: bool = True
    mean: float | None = None
    std: float | None = None
    appends_eos: Literal["auto"] | bool = "auto"
    too_long: Literal["refuse", "cut"] = "refuse"
    chat_template: str | None = None
    attention: str | None = None
    quantization: Literal["4bit", "8bit"] | None = None
    trust_remote_code: bool = False
    head: Literal["auto", "linear", "gated", "pair", "step", "step_tokens"] = "auto"
    steps_as_score: Literal["min", "prod", "last", "mean"] | None = None
    step_token: str | None = None
    good_token: str | None = None
    bad_token: str | None = None
    revision: str | None = None
    vllm: Mapping[str, Any] = field(default_factory=dict)
    probe: bool = True

    @property
    def precision(self) -> str:
        """What scores are exact to: the trunk's dtype, or its quantisation, which rounds by what is beside a unit."""
        return self.quantization or self.dtype

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._check_numbers()
        self._check_combinations()

    @classmethod
    def from_options(cls, model_path: str, **options: Any) -> ModelSettings:
        """The settings of options by name, as they come from a YAML file.

        Raises:
            ConfigError: an unknown option, with the nearest known one.
        """
        known = {one.name for one in fields(cls)}
        for name in options:
            if name not in known:
                raise ConfigError(f"a reward model has no option {name!r}; {did_you_mean(name, known)}")
        return cls(model_path, **options)

    def _check_types(self) -> None:
        """What YAML, an environment or a command line may have left a text: "false" would be true."""
        for name in ("normalize", "trust_remote_code", "probe"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}={getattr(self, name)!r}: known are True and False")
        for name in ("revision", "device", "chat_template", "attention", "step_token", "good_token", "bad_token"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise ConfigError(f"{name}={value!r}: give a text, or leave it out")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ConfigError(f"{name}={value!r}: give a number")
        if not isinstance(self.vllm, Mapping):
            raise ConfigError(f"vllm={self.vllm!r}: give vLLM's arguments by name")

    def _check_choices(self) -> None:
        if not isinstance(self.model_path, str) or not self.model_path:
            raise ConfigError(f"model_path must be a folder or a hub name, found {self.model_path!r}")
        choices: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("backend", BACKENDS),
            ("dtype", DTYPES),
            ("head", HEADS),
            ("quantization", (None, "4bit", "8bit")),
            ("steps_as_score", (None, *AGGREGATES)),
            ("too_long", ("refuse", "cut")),
        )
        for name, known in choices:
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"{name}={value!r}: known are {', '.join(repr(one) for one in known)}")
        if self.appends_eos != "auto" and not isinstance(self.appends_eos, bool):
            raise ConfigError(f"appends_eos={self.appends_eos!r}: known are 'auto', True and False")

    def _check_numbers(self) -> None:
        for name in ("max_length", "max_step_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name}={value!r}: give a number of tokens, 1 or more")
        if self.mean is not None and not math.isfinite(self.mean):
            raise ConfigError(f"mean={self.mean!r}: give a finite number")
        if self.std is not None and not (math.isfinite(self.std) and self.std > 0):
            raise ConfigError(f"std={self.std!r}: scores are divided by it, give a finite number over 0")

    def _check_combinations(self) -> None:
        if not self.normalize and (self.mean is not None or self.std is not None):
            raise ConfigError("mean and std are applied by normalize=True; with normalize=False leave them out")
        tokens = (self.step_token, self.good_token, self.bad_token)
        if self.head == "step_tokens" and None in tokens:
            raise ConfigError(
                "head='step_tokens' reads what a language model says at each step: give step_token, good_token and "
                "bad_token as it was trained with (Math-Shepherd: step_token='ки', good_token='+', bad_token='-')"
            )
        if self.head != "step_tokens" and (self.good_token, self.bad_token) != (None, None):
            raise ConfigError("good_token and bad_token belong to head='step_tokens': set it, or leave them out")
        if self.quantization is not None and self.backend == "vllm":
            raise ConfigError("quantization is bitsandbytes'; for vLLM give vllm={'quantization': …} instead")
        if self.vllm and self.backend not in ("vllm", "auto"):
            raise ConfigError(f"vllm={dict(self.vllm)!r} belongs to backend='vllm', found backend={self.backend!r}")
