"""Tiny checkpoints of every family, made on the spot: random weights, word tokenizers, no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.models.tiny import CHAT_TEMPLATE, SPECIAL, WORDS, make_tokenizer

LLAMA3_TEMPLATE = (
    "<|begin_of_text|>{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n{{ message['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LLAMA3_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "\n\n")
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>", "<extra_0>", "\n")
PAIR_TOKENS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
ENCODER_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
ROLES = ("system", "user", "assistant", "tool")


def make_words(
    folder: Path,
    *,
    special: Sequence[str],
    words: Sequence[str] = (*ROLES, *WORDS),
    chat_template: str | None = None,
    wraps: bool = False,
    adds_bos: bool = False,
    **named: str,
) -> Any:
    """A tokenizer of words at white space; `special` tokens are found anywhere."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = list(dict.fromkeys(("[UNK]", *special, *words)))
    vocabulary = {name: at for at, name in enumerate(names)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in special])
    if wraps:
        backend.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
    if adds_bos:
        bos = named["bos_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])]
        )
    inputs = ["input_ids", *(["token_type_ids"] if wraps else []), "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", model_input_names=inputs, **named)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_llama3_words(folder: Path, **options: Any) -> Any:
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|eot_id|>"}
    return make_words(folder, **{"special": LLAMA3_TOKENS, "chat_template": LLAMA3_TEMPLATE, **named, **options})


def make_chatml_words(folder: Path, **options: Any) -> Any:
    named = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    return make_words(folder, **{"special": CHATML_TOKENS, "chat_template": CHATML_TEMPLATE, **named, **options})


def make_llama(vocabulary: int, **options: Any) -> Any:
    """A trunk of 16 wide, with weights large enough that scores differ by ones."""
    import torch
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    sizes = {
        "vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 32, "max_position_embeddings": 128, "initializer_range": 0.5,
        "bos_token_id": 1, "eos_token_id": 4, "pad_token_id": 4,
    }  # fmt: skip
    return LlamaModel(LlamaConfig(**{**sizes, **options})).eval()


def make_deberta(vocabulary: int, **options: Any) -> Any:
    """A trunk like DeBERTa v3: positions only as distances, in buckets."""
    import torch
    from transformers import DebertaV2Model

    torch.manual_seed(0)
    return DebertaV2Model(deberta_config(vocabulary, **options)).eval()


def deberta_config(vocabulary: int, **options: Any) -> Any:
    from transformers import DebertaV2Config

    sizes = {
        "vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64, "initializer_range": 0.5, "pad_token_id": 1,
        "relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
        "pos_att_type": "p2c|c2p", "position_biased_input": False, "type_vocab_size": 0, "num_labels": 1,
    }  # fmt: skip
    return DebertaV2Config(**{**sizes, **options})


def save(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Any], *, shards: int = 1) -> Path:
    """A checkpoint as others would have written it: any names, any architecture."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    names = sorted(tensors)
    if shards == 1:
        save_file({name: tensors[name].contiguous() for name in names}, folder / "model.safetensors")
        return folder
    index = {}
    for at in range(shards):
        file = f"model-{at + 1:05}-of-{shards:05}.safetensors"
        save_file({name: tensors[name].contiguous() for name in names[at::shards]}, folder / file)
        index.update(dict.fromkeys(names[at::shards], file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


def named(prefix: str, trunk: Any) -> dict[str, Any]:
    """A trunk's tensors behind a prefix."""
    return {prefix + name: tensor.detach() for name, tensor in trunk.state_dict().items()}


def config_of(trunk: Any, architecture: str, **more: Any) -> dict[str, Any]:
    return {**trunk.config.to_dict(), "id2label": {"0": "LABEL_0"}, "architectures": [architecture], **more}


def make_scored(
    folder: Path,
    *,
    head: str = "score",
    architecture: str = "LlamaForSequenceClassification",
    shards: int = 1,
    lm_head: bool = False,
    labels: int = 1,
    **config: Any,
) -> Path:
    """A decoder with a linear head of any name, in a checkpoint of any class."""
    import torch

    tokenizer = make_llama3_words(folder)
    trunk = make_llama(len(tokenizer))
    tensors = {**named("model.", trunk), f"{head}.weight": torch.randn(labels, 16)}
    if lm_head:
        tensors["lm_head.weight"] = torch.randn(len(tokenizer), 16)
    more = {"num_labels": labels, **config}
    return save(folder, config_of(trunk, architecture, **more), tensors, shards=shards)


def make_openrlhf_checkpoint(folder: Path, *, max_position_embeddings: int = 512) -> Path:
    """As an older OpenRLHF writes them, and with heads as wide as vLLM's CPU kernels want; EOS is the padding token."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    tokenizer = make_tokenizer(folder, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, intermediate_size=64, num_labels=1, initializer_range=0.2, bos_token_id=4,
        eos_token_id=5, pad_token_id=5, max_position_embeddings=max_position_embeddings,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["value_head.weight"] = weights.pop("score.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text())
    written |= {"architectures": ["RewardModel"], "value_head_prefix": "value_head", "mean": 0.5, "std": 2.0}
    del written["id2label"], written["label2id"]
    (folder / "config.json").write_text(json.dumps(written))
    return folder
