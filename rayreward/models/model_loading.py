"""From a checkpoint to a trunk and its head, with nothing in them that was not trained.

What arrives: a `Checkpoint`, its `Family` and the settings. What leaves: transformers' model without its head, and a
head in fp32 with the checkpoint's own weights; or a `RewardLoadError`. It promises: weights that the checkpoint lacks
are never made up, weights that nobody reads are refused (language models' output layers, which a reward does without,
excepted), and a checkpoint's own code runs only where it was trusted.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rayreward.errors import MissingExtraError, RewardLoadError
from rayreward.models.checkpoint import Checkpoint
from rayreward.models.families import Family
from rayreward.models.heads import Head, LinearHead
from rayreward.models.score_layers import Normalisation, ScoreLayers, named_layers
from rayreward.models.settings import ModelSettings
from rayreward.models.tokenising import last_id, load_tokenizer

_UNREAD = re.compile(
    r"(^|\.)(lm_head|cls|lm_predictions|mask_predictions|qa_outputs)\."  # output layers of language models
    r"|(^|\.)(rotary_emb\.inv_freq|masked_bias|attn\.bias|position_ids|embeddings\.token_type_ids)$"  # buffers
    r"|^(mean|std)$"  # OpenRLHF's, which are read from config.json
)
"""Tensors that a checkpoint may hold and a reward does without."""


def load_model(checkpoint: Checkpoint, family: Family, settings: ModelSettings) -> tuple[Any, Head]:
    """The trunk, on the CPU unless it is quantised, and the head.

    Raises:
        RewardLoadError: weights that are missing or that nobody reads, or an architecture that is not known here.
        MissingExtraError: transformers or bitsandbytes is not installed.
    """
    normalisation = normalisation_of(checkpoint, settings)
    options = _options(settings)
    config = _config(checkpoint, settings)
    if family.kind == "encoder":
        return _load_encoder(checkpoint, config, options, normalisation)
    trunk = _load_trunk(checkpoint, family, config, options)
    head = _build_head(checkpoint, family, settings, normalisation)
    return trunk, head


def normalisation_of(checkpoint: Checkpoint, settings: ModelSettings) -> Normalisation:
    """What raw scores are normalised by: the settings' own, else the checkpoint's, else nothing.

    Raises:
        RewardLoadError: config.json has something else than numbers.
    """
    if not settings.normalize:
        return Normalisation()
    found = []
    for name, given, neutral in (("mean", settings.mean, 0.0), ("std", settings.std, 1.0)):
        value = checkpoint.config.get(name, neutral) if given is None else given
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RewardLoadError(
                f"{checkpoint.name!r}: config.json has {name}={value!r}, no number: correct it, or give {name}=…"
            )
        found.append(float(value))
    return Normalisation(*found)


def _options(settings: ModelSettings) -> dict[str, Any]:
    """What transformers is asked for, but for the dtype of encoders."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            f"reward models need torch and transformers ({error}): pip install 'rayreward[models]'"
        ) from error
    dtype = getattr(torch, settings.dtype)
    options: dict[str, Any] = {"dtype": dtype}
    if settings.attention is not None:
        options["attn_implementation"] = settings.attention
    if settings.quantization is None:
        return options
    try:
        importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise MissingExtraError(
            f"quantization={settings.quantization!r} needs bitsandbytes ({error}): pip install bitsandbytes, or leave "
            f"it out and take dtype='bfloat16'"
        ) from error
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
    chosen = four if settings.quantization == "4bit" else {"load_in_8bit": True}
    quantised = {
        "quantization_config": transformers.BitsAndBytesConfig(**chosen), "device_map": {"": device},
    }  # fmt: skip
    return {**options, **quantised}


def _config(checkpoint: Checkpoint, settings: ModelSettings) -> Any:
    """Its configuration; a class that transformers has itself goes before one that the checkpoint brings along."""
    from transformers import CONFIG_MAPPING, AutoConfig

    is_known = checkpoint.model_type in CONFIG_MAPPING
    if not is_known and not settings.trust_remote_code:
        brings = "its own Python, which runs only with trust_remote_code=True: read it first"
        raise RewardLoadError(
            f"{checkpoint.name!r} cannot be loaded: transformers knows no model of the type "
            f"{checkpoint.model_type!r}; "
            + (f"it brings {brings}" if "auto_map" in checkpoint.config else "is it one?")
        )
    try:
        return AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=not is_known)
    except Exception as error:  # the boundary: all that a library, or code that came along, may raise for a bad one
        raise RewardLoadError(f"{checkpoint.name!r} cannot be loaded: its config.json: {error}") from error


def _load_trunk(checkpoint: Checkpoint, family: Family, config: Any, options: Mapping[str, Any]) -> Any:
    """The model without a head, whatever class the checkpoint names: `architectures` may be anything."""
    from transformers import CONFIG_MAPPING, AutoModel

    is_foreign = checkpoint.model_type not in CONFIG_MAPPING
    renamed = {"key_mapping": {f"^{re.escape(family.trunk_prefix)}": ""}} if family.trunk_prefix else {}
    return _from_pretrained(
        AutoModel, checkpoint, config, family.tensors, trust_remote_code=is_foreign, **options, **renamed
    )


def _load_encoder(
    checkpoint: Checkpoint, config: Any, options: Mapping[str, Any], normalisation: Normalisation
) -> tuple[Any, Head]:
    import torch
    from transformers import AutoModelForSequenceClassification

    from rayreward.models.encoder_head import take_apart

    if config.num_labels != 1:
        raise RewardLoadError(
            f"{checkpoint.name!r} has {config.num_labels} labels; a reward model has one. A classifier is no reward "
            f"model: give one that was trained by preferences"
        )
    # In fp32 first: the head stays so, and the backend puts the trunk into its dtype.
    options = {**options, "dtype": torch.float32} if "quantization_config" not in options else options
    model = _from_pretrained(AutoModelForSequenceClassification, checkpoint, config, (), **options)
    return take_apart(model, normalisation)


def _from_pretrained(
    auto_class: Any, checkpoint: Checkpoint, config: Any, head_tensors: Iterable[str], **options: Any
) -> Any:
    """`from_pretrained`, refusing what it would make up or leave out."""
    try:
        with _silent_reports():
            model, report = auto_class.from_pretrained(
                checkpoint.folder, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    except Exception as error:  # the boundary: all that a library, or code that came along, may raise for a bad one
        raise RewardLoadError(f"{checkpoint.name!r} cannot be loaded: {error}") from error
    _refuse_mismatched(checkpoint, report["mismatched_keys"])
    _refuse_untrained(checkpoint, report["missing_keys"])
    _refuse_unread(checkpoint, head_tensors, report["unexpected_keys"])
    if getattr(model.config, "use_cache", False):
        model.config.use_cache = False  # nothing is generated: keys and values would only take memory
    return model


@contextmanager
def _silent_reports() -> Iterator[None]:
    """Without transformers' own table of missing weights, which says that they may be ignored: we refuse them.

    And without its progress bars, which fill a service's log.
    """
    from transformers.utils import logging

    before, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if shows_bars:
            logging.enable_progress_bar()


def _refuse_mismatched(checkpoint: Checkpoint, mismatched_keys: Iterable[tuple[str, Any, Any]]) -> None:
    """Refused here, and not by transformers, which only refers to the report that `_silent_reports` leaves out."""
    wrong = [f"{name} is {list(found)}, not {list(wanted)}" for name, found, wanted in sorted(mismatched_keys)]
    if wrong:
        raise RewardLoadError(
            f"{checkpoint.name!r} has weights of other shapes than its config.json says: {', '.join(wrong[:3])}"
            f"{_and_more(wrong)}. Fetch both from one place"
        )


def _refuse_untrained(checkpoint: Checkpoint, missing_keys: Iterable[str]) -> None:
    missing = sorted(missing_keys)
    if missing:
        raise RewardLoadError(
            f"{checkpoint.name!r} holds no trained weights for {', '.join(missing[:3])}{_and_more(missing)}: its "
            f"scores would be random. Give a checkpoint that was trained as a reward model, or fetch this one again"
        )


def _refuse_unread(checkpoint: Checkpoint, head_tensors: Iterable[str], unexpected_keys: Iterable[str]) -> None:
    """Refuse tensors that neither trunk nor head reads: they would have been part of the score."""
    known = set(head_tensors)
    unread = sorted(name for name in unexpected_keys if name not in known and not _UNREAD.search(name))
    if unread:
        raise RewardLoadError(
            f"{checkpoint.name!r} has weights that nothing here reads: {', '.join(unread[:3])}{_and_more(unread)}. A "
            f"score without them would be another model's: merge adapters, or name the head by head=…"
        )


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 3} more" if len(names) > 3 else ""


def _build_head(checkpoint: Checkpoint, family: Family, settings: ModelSettings, normalisation: Normalisation) -> Head:
    """The head in fp32, of the checkpoint's own tensors."""
    tensors = checkpoint.tensors(family.tensors)
    if family.kind == "linear":
        [(weight, bias)] = named_layers(tensors, [family.tensors[0].removesuffix(".weight")])
        return LinearHead(weight, bias, mean=normalisation.mean, std=normalisation.std)
    if family.kind == "gated":
        return _gated(checkpoint, tensors, normalisation)
    if family.kind == "pair":
        from rayreward.models.pair_head import PairHead

        return PairHead(tensors, normalisation=normalisation)
    if family.kind == "mlp":
        from rayreward.models.mlp_head import MlpHead

        return MlpHead(_relu_layers(tensors), normalisation=normalisation)
    return _steps(checkpoint, family, settings, tensors, normalisation)


def _gated(checkpoint: Checkpoint, tensors: Mapping[str, Any], normalisation: Normalisation) -> Head:
    from rayreward.models.gated_head import GatedHead

    labels = checkpoint.config.get("id2label") or {}
    names = tuple(str(labels[key]) for key in sorted(labels, key=int)) if len(labels) > 2 else ()
    count = int(tensors["regression_layer.weight"].shape[0])
    is_named = len(names) == count and not any(name.startswith("LABEL_") for name in names)
    return GatedHead(
        tensors,
        temperature=float(checkpoint.config.get("gating_temperature", 10.0)),
        names=names if is_named else (),
        normalisation=normalisation,
    )


def _steps(
    checkpoint: Checkpoint,
    family: Family,
    settings: ModelSettings,
    tensors: Mapping[str, Any],
    normalisation: Normalisation,
) -> Head:
    from rayreward.models.step_head import StepHead

    if settings.steps_as_score is None:
        raise RewardLoadError(f"{checkpoint.name!r}: steps_as_score is not set: this is a bug in rayreward")
    rule = settings.steps_as_score
    if family.kind == "step_tokens":
        tokenizer = load_tokenizer(checkpoint.folder, trust_remote_code=settings.trust_remote_code)
        said = [last_id(tokenizer, str(token)) for token in (settings.good_token, settings.bad_token)]
        weight = tensors[family.tensors[0]][said]
        return StepHead(ScoreLayers([(weight, None)]), good=0, aggregate=rule, normalisation=normalisation)
    if family.kind == "step_value":
        layers = ScoreLayers(named_layers(tensors, ["v_head.summary"]))
        return StepHead(layers, aggregate=rule, normalisation=normalisation)
    is_deep = "score.2.weight" in tensors
    layers = _relu_layers(tensors) if is_deep else ScoreLayers(named_layers(tensors, ["score"]))
    return StepHead(layers, good=1, aggregate=rule, normalisation=normalisation)


def _relu_layers(tensors: Mapping[str, Any]) -> ScoreLayers:
    from torch.nn.functional import relu

    return ScoreLayers(named_layers(tensors, ["score.0", "score.2"]), relu)
