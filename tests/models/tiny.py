"""Tiny sequence-classification checkpoints, made on the spot: random weights, a word tokenizer, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = ["what", "is", "two", "it", "four", *"abcdefgh"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<s>", "</s>"]

CHAT_TEMPLATE = "<s>{% for message in messages %} {{ message['content'] }} </s>{% endfor %}"


def make_tokenizer(folder: Path, **special: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: position for position, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls_token" in special:
        words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", **special)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_encoder(folder: Path, *, labels: int = 1) -> Path:
    """Like BERT: pairs with segments, special tokens around them, 32 positions."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    make_tokenizer(folder, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]")
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, num_labels=labels, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def make_decoder(folder: Path, *, chat: bool = True, head: bool = True) -> Path:
    """Like Llama: the last token is scored, and padding is the end-of-text token itself."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification, LlamaModel

    torch.manual_seed(0)
    tokenizer = make_tokenizer(folder, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
        tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_labels=1, bos_token_id=4, eos_token_id=5, pad_token_id=5, initializer_range=0.5,
    )  # fmt: skip
    (LlamaForSequenceClassification if head else LlamaModel)(config).save_pretrained(folder)
    return folder
