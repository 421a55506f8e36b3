"""Which kind of reward model a checkpoint is, told by its configuration and the names and shapes of its tensors.

What arrives: a `Checkpoint`, and the head that the settings name. What leaves: a `Family` that says where the head's
weights lie and how it is trained to be read, or a `RewardLoadError` that says what was found and what to do. Nothing is
guessed: a head that has no weights, one too many or one that could be read in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.models.checkpoint import Checkpoint
from rayreward.models.settings import ModelSettings

Kind = Literal["linear", "mlp", "encoder", "gated", "pair", "step_labels", "step_value", "step_tokens"]

ENCODERS = frozenset((
    "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2",
    "distilbert", "electra", "ernie", "esm", "eurobert", "flaubert", "fnet", "funnel", "ibert", "layoutlm",
    "longformer", "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "mra", "nomic_bert",
    "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "xlm",
    "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
))  # fmt: skip
"""Model types that read in both directions: transformers' masked language models without a decoder."""

QWEN_STEP_TOKEN = "<extra_0>"
"""What Qwen's process reward models were trained to judge a step at."""

_OPENRLHF_KEYS = frozenset({"value_head_prefix", "normalize_reward"})
"""Keys that only OpenRLHF writes into config.json."""


@dataclass(frozen=True)
class Family:
    """How the reward of a checkpoint is read.

    Attributes:
        kind: which head.
        tensors: the head's own, by name.
        is_encoder: whether its trunk reads in both directions.
        is_openrlhf: whether OpenRLHF trained it, which ends every text with the end-of-text token.
        trunk_prefix: what stands before the trunk's tensors beyond what transformers expects.
        step_token: the token that holds a step's reward, where the family has one of its own.
    """

    kind: Kind
    tensors: tuple[str, ...] = ()
    is_encoder: bool = False
    is_openrlhf: bool = False
    trunk_prefix: str = ""
    step_token: str | None = None

    @property
    def reads_steps(self) -> bool:
        """Whether it is a process reward model."""
        return self.kind.startswith("step_")


def recognise(checkpoint: Checkpoint, settings: ModelSettings) -> Family:
    """The family of a checkpoint.

    Raises:
        RewardLoadError: it has no head, several labels, or a head that nothing names.
        ConfigError: the settings lack what its family needs.
    """
    if checkpoint.config.get("is_encoder_decoder"):
        raise RewardLoadError(
            f"{checkpoint.name!r} is an encoder-decoder ({checkpoint.architecture or checkpoint.model_type}): rewards "
            f"are read from decoders and encoders only"
        )
    rules = _RULES if settings.head == "auto" else _RULES_OF_HEAD[settings.head]
    for rule in rules:
        family = rule(checkpoint)
        if family is not None:
            _check_settings(checkpoint, family, settings)
            return family
    raise _no_head(checkpoint, settings)


def _check_settings(checkpoint: Checkpoint, family: Family, settings: ModelSettings) -> None:
    if not family.reads_steps:
        return
    if settings.steps_as_score is None:
        raise ConfigError(
            f"{checkpoint.name!r} is a process reward model: say how its steps become one score by steps_as_score, one "
            f"of 'min' (a solution is as good as its worst step), 'prod', 'last' and 'mean'"
        )
    if family.kind in ("step_labels", "step_tokens") and not (settings.step_token or family.step_token):
        raise ConfigError(
            f"{checkpoint.name!r} is a process reward model of {checkpoint.architecture}: give step_token, the token "
            f"that ended each step in its training (TRL's PRMTrainer: step_separator, by default '\\n')"
        )


def _gated(checkpoint: Checkpoint) -> Family | None:
    gating = [name for name in checkpoint.shapes if name.startswith("gating.")]
    if not gating or "regression_layer.weight" not in checkpoint.shapes:
        return None
    tensors = ("regression_layer.weight", "reward_transform_matrix", *sorted(gating))
    _require(checkpoint, (*tensors, "gating.logit_scale", "gating.layers.0.weight"), "a gated head (ArmoRM)")
    return Family("gated", tensors)


def _pair(checkpoint: Checkpoint) -> Family | None:
    names = tuple(f"head_layer.{layer}.{part}" for layer in (1, 4) for part in ("weight", "bias"))
    if names[0] not in checkpoint.shapes:
        return None
    _require(checkpoint, names, "a pair head (PairRM)")
    return Family("pair", names, is_encoder=True, trunk_prefix="pretrained_model.")


def _step_labels(checkpoint: Checkpoint) -> Family | None:
    """Two labels a token: Qwen's process reward models, and those of TRL's PRMTrainer."""
    if "score.2.weight" in checkpoint.shapes and "ProcessReward" in checkpoint.architecture:
        _labels(checkpoint, "score.2.weight", 2)
        tensors = _require(checkpoint, _mlp_names("score"), "a step head")
        return Family("step_labels", tensors, step_token=QWEN_STEP_TOKEN)
    if checkpoint.architecture.endswith("ForTokenClassification") and "score.weight" in checkpoint.shapes:
        _labels(checkpoint, "score.weight", 2)
        return Family("step_labels", _present(checkpoint, "score.weight", "score.bias"))
    return None


def _step_value(checkpoint: Checkpoint) -> Family | None:
    """A value at the end of each step: Skywork's open process reward models."""
    tensors = _present(checkpoint, "v_head.summary.weight", "v_head.summary.bias")
    is_named = "Prm" in checkpoint.architecture or "ProcessReward" in checkpoint.architecture
    return Family("step_value", tensors, trunk_prefix=_wrapped(checkpoint)) if tensors and is_named else None


def _named_step_value(checkpoint: Checkpoint) -> Family | None:
    """The same where the settings say that it is one."""
    tensors = _present(checkpoint, "v_head.summary.weight", "v_head.summary.bias")
    return Family("step_value", tensors, trunk_prefix=_wrapped(checkpoint)) if tensors else None


def _step_tokens(checkpoint: Checkpoint) -> Family | None:
    """What a causal language model says at each step: its output rows of two words."""
    name = next((one for one in _output_names(checkpoint) if one in checkpoint.shapes), None)
    return Family("step_tokens", (name,)) if name else None


def _output_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    names: tuple[str, ...] = ("lm_head.weight",)
    if checkpoint.config.get("tie_word_embeddings"):  # then the input's embeddings are the output's rows
        names += ("model.embed_tokens.weight", "transformer.wte.weight", "embed_tokens.weight")
    return names


def _encoder(checkpoint: Checkpoint) -> Family | None:
    """Its head is what transformers' own class puts behind the trunk."""
    if checkpoint.model_type not in ENCODERS:
        return None
    if not any(name.startswith(("classifier.", "score.", "pre_classifier.")) for name in checkpoint.shapes):
        return None
    last = next((one for one in ("classifier.weight", "classifier.out_proj.weight") if one in checkpoint.shapes), None)
    if last is not None:
        _labels(checkpoint, last, 1)
    return Family("encoder", is_encoder=True)


def _linear(checkpoint: Checkpoint) -> Family | None:
    """One number from the last token: ``*ForSequenceClassification``, and OpenRLHF's heads of any name."""
    prefix = str(checkpoint.config.get("value_head_prefix") or "")
    for stem in dict.fromkeys((prefix, "score", "value_head")):
        if stem and f"{stem}.weight" in checkpoint.shapes:
            _labels(checkpoint, f"{stem}.weight", 1)
            tensors = _present(checkpoint, f"{stem}.weight", f"{stem}.bias")
            return Family("linear", tensors, is_openrlhf=_is_openrlhf(checkpoint, stem))
    return None


def _mlp(checkpoint: Checkpoint) -> Family | None:
    """Two layers with a ReLU between, at the last token: Qwen2.5-Math-RM."""
    if "score.2.weight" not in checkpoint.shapes or "ProcessReward" in checkpoint.architecture:
        return None
    _labels(checkpoint, "score.2.weight", 1)
    return Family("mlp", _require(checkpoint, _mlp_names("score"), "a head of two layers"))


def _named_value_head(checkpoint: Checkpoint) -> Family | None:
    """TRL's value head, where the settings say that it is the reward's; else it may be a critic's."""
    tensors = _present(checkpoint, "v_head.summary.weight", "v_head.summary.bias")
    return Family("linear", tensors, trunk_prefix=_wrapped(checkpoint)) if tensors else None


_RULES: tuple[Callable[[Checkpoint], Family | None], ...] = (
    _gated, _pair, _step_labels, _step_value, _encoder, _mlp, _linear,
)  # fmt: skip

_RULES_OF_HEAD: dict[str, tuple[Callable[[Checkpoint], Family | None], ...]] = {
    "linear": (_encoder, _mlp, _linear, _named_value_head),
    "gated": (_gated,),
    "pair": (_pair,),
    "step": (_step_labels, _named_step_value),
    "step_tokens": (_step_tokens,),
}


def _is_openrlhf(checkpoint: Checkpoint, stem: str) -> bool:
    """By what only OpenRLHF writes: its keys, its class name, its older head, a head on a causal model's class."""
    architecture = checkpoint.architecture
    return (
        bool(_OPENRLHF_KEYS & checkpoint.config.keys())
        or {"mean", "std"} <= checkpoint.config.keys()
        or stem != "score"
        or architecture == "RewardModel"
        or architecture.endswith("ForCausalLM")
    )


def _mlp_names(stem: str) -> tuple[str, ...]:
    return tuple(f"{stem}.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias"))


def _wrapped(checkpoint: Checkpoint) -> str:
    """The prefix that a wrapper around a whole model leaves in its tensors' names."""
    return "pretrained_model." if any(name.startswith("pretrained_model.") for name in checkpoint.shapes) else ""


def _present(checkpoint: Checkpoint, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name in checkpoint.shapes) if names[0] in checkpoint.shapes else ()


def _require(checkpoint: Checkpoint, names: tuple[str, ...], what: str) -> tuple[str, ...]:
    missing = sorted(set(names) - checkpoint.shapes.keys())
    if missing:
        raise RewardLoadError(
            f"{checkpoint.name!r} has {what} but no trained weights for {', '.join(missing[:3])}: its scores would be "
            f"random. Fetch or save the checkpoint again"
        )
    return names


def _labels(checkpoint: Checkpoint, name: str, expected: int) -> None:
    found = checkpoint.shapes[name][0] if checkpoint.shapes[name] else 0
    if found != expected:
        kind = "a reward model has one" if expected == 1 else "a process reward model has two, wrong and right"
        raise RewardLoadError(
            f"{checkpoint.name!r} has {found} labels; {kind} (found {name} of shape {list(checkpoint.shapes[name])}). "
            f"A classifier is no reward model: give one that was trained by preferences"
        )


def _no_head(checkpoint: Checkpoint, settings: ModelSettings) -> RewardLoadError:
    others = [name for name in checkpoint.shapes if name.count(".") <= 2 and "embed" not in name and "norm" not in name]
    found = f"{checkpoint.architecture or checkpoint.model_type or 'no architecture'}, beside its trunk " + (
        ", ".join(sorted(others)[:4]) or "nothing"
    )
    start = f"{checkpoint.name!r} (found {found}) "
    if settings.head != "auto":
        return RewardLoadError(
            f"{start}has no head of the kind head={settings.head!r}: leave it out to see what it has"
        )
    if any(name.startswith("v_head.") for name in checkpoint.shapes):
        return RewardLoadError(
            f"{start}has a value head, which may be a critic's: give head='linear' where it was trained as a reward "
            f"read at the last token, head='step' where it judges steps"
        )
    missing = "classifier.weight" if checkpoint.model_type in ENCODERS else "score.weight"
    return RewardLoadError(
        f"{start}holds no trained weights for {missing}: its scores would be random. Give a checkpoint that was "
        f"trained as a reward model; where its head has another name, put that as value_head_prefix into its "
        f"config.json; a causal language model that judges steps needs head='step_tokens'"
    )
