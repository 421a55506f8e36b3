"""A neural reward model with one output, from a Hugging Face sequence-classification checkpoint.

What arrives: samples. What leaves: one raw logit a sample, in fp32. Each sample is one forward pass of its own, at
its true length: no padding, so no pad token can move the position that is scored, and a score does not depend on
its neighbours. Weights are loaded when the replica starts, or at the first score.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError, InvalidInputError, MissingExtraError, RewardLoadError
from rayreward.function import Isolation, RewardFunction
from rayreward.outcome import failed_output, to_output
from rayreward.types import RewardOutput, Sample
from rayreward.versioning import content_version

_EDGE_BYTES = 1 << 20
"""How much of either end of a weight file is hashed; whole files would cost minutes for large models."""


class RewardModel(RewardFunction):
    """The score that a ``*ForSequenceClassification`` checkpoint with one label gives. Range: whatever it learned.

    The text is the trainer's own where it sent one (OpenRLHF's `query`: special tokens as they are, none added but an
    encoder's own); else the chat template of the tokenizer; else prompt and response as a pair, as encoders take them.
    Pictures and other parts that are no text are refused, never overlooked.

    Args:
        model_path: a folder or a hub name.
        device: "cuda", "cpu", …; by default CUDA where there is one.
        dtype: of the trunk: "float32", "bfloat16" or "float16". The score is read in fp32.
        max_length: in tokens, and never more than the model has positions for; the oldest tokens are cut first (an
            encoder's special tokens stay), and the output's metadata says how many.
        trust_remote_code: whether the checkpoint's own Python may run. Off: it is code of strangers.

    Raises:
        ConfigError: an unknown dtype.
        RewardLoadError: at load: no such checkpoint, more than one label, or a head without trained weights.
        MissingExtraError: at load: torch or transformers are not installed.

    Example:
        >>> reward = RewardModel(model_path="OpenAssistant/reward-model-deberta", device="cuda")
        >>> reward.isolation
        'thread'
    """

    isolation: Isolation = "thread"
    deterministic = True
    name = "reward_model"
    timeout_s = 60.0

    def __init__(
        self,
        model_path: str,
        device: str | None = None,
        *,
        dtype: str = "float32",
        max_length: int = 4096,
        trust_remote_code: bool = False,
    ) -> None:
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ConfigError(f"RewardModel(dtype={dtype!r}): known are 'float32', 'bfloat16' and 'float16'")
        self.model_path, self.device, self.dtype = model_path, device, dtype
        self.max_length, self.trust_remote_code = max_length, trust_remote_code
        self._model: Any = None
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_model": None, "_tokenizer": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    @property
    def version(self) -> str:
        """Content hash of the configuration and of the weights, where they lie on this machine."""
        settings = {"dtype": self.dtype, "max_length": self.max_length}
        return content_version("RewardModel", settings, _weights_digest(Path(self.model_path)) or self.model_path)

    @property
    def scores_in_turn(self) -> bool:
        """One forward pass at a time."""
        return True

    def load(self) -> None:
        """Read tokenizer and weights, once."""
        with self._lock:
            if self._model is None:
                self._tokenizer, self._model = _load(self)

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Score on a thread of its own, so that the event loop stays free while the device works."""
        return await asyncio.to_thread(self._score_all, list(samples))

    def _score_all(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        self.load()
        return [self._score_sample(sample) for sample in samples]

    def _score_sample(self, sample: Sample) -> RewardOutput:
        import torch

        try:
            inputs, cut = self._encode(sample)
            with self._lock, torch.inference_mode():
                tensors = {name: torch.tensor([ids], device=self._model.device) for name, ids in inputs.items()}
                mask = torch.ones_like(tensors["input_ids"])
                logits = self._model(**tensors, attention_mask=mask).logits
            output = to_output(float(logits[0, 0].float()))
        except Exception as error:  # noqa: BLE001 - the boundary: a sample that breaks the model fails alone
            return failed_output(error)
        metadata = {"tokens": len(inputs["input_ids"]), **({"truncated_tokens": cut} if cut else {})}
        return RewardOutput(output.score, metadata=metadata, failure=output.failure)

    def _encode(self, sample: Sample) -> tuple[dict[str, list[int]], int]:
        """The model's inputs, and how many tokens were cut to fit."""
        tokenizer, limit = self._tokenizer, self._limit_tokens()
        is_encoder = tokenizer.cls_token_id is not None
        texts = self._texts(sample)
        # A template writes BOS itself where the model wants one: adding special tokens again would double it.
        options = {"add_special_tokens": is_encoder or len(texts) == 2 or not tokenizer.chat_template}
        if not is_encoder and isinstance(sample.metadata.get("query"), str):
            options["add_special_tokens"] = False
        inputs = {name: ids for name, ids in tokenizer(*texts, **options).items() if name != "attention_mask"}
        cut = max(0, len(inputs["input_ids"]) - limit)
        if cut and is_encoder:
            cropped = tokenizer(*texts, truncation=True, max_length=limit, **options)
            inputs = {name: cropped[name] for name in inputs}
        elif cut:
            inputs = {name: ids[cut:] for name, ids in inputs.items()}
        if not inputs["input_ids"]:
            raise InvalidInputError("the sample's text has no token to score")
        return inputs, cut

    def _texts(self, sample: Sample) -> tuple[str, ...]:
        """One text, or the two of a pair."""
        unread = [kind for message in sample.messages for kind in message.unread_parts]
        if unread:
            raise InvalidInputError(f"the reward model reads text only, found a part of type {unread[0]!r}")
        if isinstance(sample.metadata.get("query"), str):
            return (sample.text,)
        if self._tokenizer.chat_template:
            chat = [{**message, "content": message.text} for message in sample.messages]
            return (self._tokenizer.apply_chat_template(chat, tokenize=False),)
        return (sample.prompt, sample.response) if sample.prompt else (sample.response,)

    def _limit_tokens(self) -> int:
        positions: int | None = getattr(self._model.config, "max_position_embeddings", None)
        return min(self.max_length, int(self._tokenizer.model_max_length), positions or self.max_length)


def _load(reward: RewardModel) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(
            f"RewardModel needs torch and transformers ({error}): pip install 'rayreward[models]'"
        ) from error
    path, options = reward.model_path, {"trust_remote_code": reward.trust_remote_code}
    device = reward.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, truncation_side="left", **options)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path, dtype=getattr(torch, reward.dtype), output_loading_info=True, **options
        )
    except Exception as error:  # the boundary: a checkpoint's own code, and all that a library may raise for a bad one
        raise RewardLoadError(f"RewardModel: {path!r} cannot be loaded: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise RewardLoadError(
            f"RewardModel: {path!r} holds no trained weights for {', '.join(missing[:3])}: its scores would be random. "
            f"Give a checkpoint that was trained as a reward model"
        )
    if model.config.num_labels != 1:
        raise RewardLoadError(f"RewardModel: {path!r} has {model.config.num_labels} labels; a reward model has one")
    # Without a pad id, decoders read the last position; with one they skip every trailing token that equals it,
    # which is the end-of-text token itself in many checkpoints.
    model.config.pad_token_id = None
    return tokenizer, model.to(device).eval()


def _weights_digest(folder: Path) -> str | None:
    """A hash over the checkpoint's files: whole for small ones, both ends and the size for large ones."""
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.suffix not in (".json", ".safetensors", ".bin", ".model", ".txt"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE_BYTES))
            if size > 2 * _EDGE_BYTES:
                file.seek(-_EDGE_BYTES, 2)
            digest.update(file.read(_EDGE_BYTES))
    return digest.hexdigest()
