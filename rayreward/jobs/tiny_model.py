"""A language model of a hundred thousand random weights, its tokenizer and its prompts, made on the spot.

What arrives: a folder and a seed. What leaves: files that transformers, vLLM and OpenRLHF load like any other model.
What it promises: the same seed gives the same files; nothing is downloaded. It knows nothing when it is born, so all
that it can do after a training came from the reward.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

from rayreward.errors import MissingExtraError

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)

CHARACTERS = "\n" + string.digits + string.ascii_letters + string.punctuation + " "
"""One token each, so that what the model writes is always text, and its length in tokens is its length."""

BYTE_LEVEL_NAME = {"\n": "\u010a", " ": "\u0120"}
"""What byte-level tokenizers call the characters that are not printable."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

MAX_POSITIONS = 512
"""Tokens of prompt and response together; the demo needs about sixty."""

ROPE_THETA = 50.0
INITIALIZER_RANGE = 0.06
"""A small base and larger weights than usual (10000 and 0.02) let the model see from its first step on how far it has
written: it learns to stop at a wanted length within 30 steps, where the usual ones keep stopping at random."""


def build_tiny_model(folder: str | Path, *, seed: int = 0) -> int:
    """Write a random Qwen2 and its tokenizer into `folder`; returns the number of weights."""
    try:
        import torch
        from transformers import Qwen2Config, Qwen2ForCausalLM
    except ImportError as error:
        raise MissingExtraError(
            f"building a model needs torch and transformers ({error.name}): pip install 'rayreward[models]'"
        ) from error
    tokenizer = _build_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(sum(weights.numel() for weights in model.parameters()))


def _build_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # Byte-level names: transformers 5 loads the tokenizer of any Qwen2 folder as Qwen2Tokenizer, which is byte-level
    # whatever tokenizer.json says, and drops characters that it finds under no such name.
    tokens = [*SPECIAL_TOKENS, *(BYTE_LEVEL_NAME.get(character, character) for character in CHARACTERS)]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def write_prompts(path: str | Path, *, count: int, seed: int = 0) -> None:
    """Write `count` small sums as JSONL, with the keys ``input`` and ``label``."""
    choose = random.Random(seed)
    rows = []
    for _ in range(count):
        a, b = choose.randint(0, 99), choose.randint(0, 99)
        rows.append(json.dumps({"input": f"{a} + {b} = ?", "label": str(a + b)}))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(rows) + "\n", encoding="utf-8")
