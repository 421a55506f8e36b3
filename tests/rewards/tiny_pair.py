"""A tiny PairRM: DeBERTa with a head over source and candidate, random weights, a word tokenizer; no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rayreward.models.pair_template import PAIR_TOKENS
from tests.models.tiny import SPECIAL, WORDS, make_tokenizer

HIDDEN = 16


def make_pair_model(folder: Path) -> Path:
    """The checkpoint, with its tensors named as in llm-blender/PairRM-hf."""
    import torch
    from safetensors.torch import save_file
    from transformers import DebertaV2Model

    torch.manual_seed(3)
    tokenizer = make_tokenizer(folder, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]")
    tokenizer.add_special_tokens({"additional_special_tokens": list(PAIR_TOKENS)})
    tokenizer.save_pretrained(folder)
    config = trunk_config(len(SPECIAL) + len(WORDS) + len(PAIR_TOKENS))
    trunk = DebertaV2Model(config)
    tensors = {f"pretrained_model.{name}": tensor for name, tensor in trunk.state_dict().items()}
    for layer, width in ((1, HIDDEN), (4, 1)):
        inputs = 2 * HIDDEN if layer == 1 else HIDDEN
        tensors[f"head_layer.{layer}.weight"] = torch.randn(width, inputs)
        tensors[f"head_layer.{layer}.bias"] = torch.randn(width)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    values = {**config.to_dict(), "architectures": ["DebertaV2PairRM"]}
    (folder / "config.json").write_text(json.dumps(values, default=str))
    return folder


def trunk_config(vocabulary: int) -> Any:
    from transformers import DebertaV2Config

    return DebertaV2Config(
        vocab_size=vocabulary, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, relative_attention=True, pos_att_type=["p2c", "c2p"], max_relative_positions=-1,
        position_biased_input=False, norm_rel_ebd="layer_norm", share_att_key=True, position_buckets=8,
        initializer_range=0.5, type_vocab_size=0, pad_token_id=0,
    )  # fmt: skip


def plain_logit(folder: Path, prompt: str, first: str, second: str) -> float:
    """What the model says of one ordered pair, by transformers' own forward pass and the head's own formula."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, DebertaV2Model

    tensors = load_file(folder / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trunk = DebertaV2Model(trunk_config(len(tokenizer))).eval()
    trunk.load_state_dict(
        {name.removeprefix("pretrained_model."): one for name, one in tensors.items() if "pre" in name}
    )
    texts = zip(PAIR_TOKENS, (prompt, first, second), strict=True)
    ids = [one for token, text in texts for one in tokenizer(token + text)["input_ids"]]
    places = [ids.index(tokenizer.convert_tokens_to_ids(token)) for token in PAIR_TOKENS]
    with torch.inference_mode():
        rows = trunk(torch.tensor([ids])).last_hidden_state[0]
        outputs = []
        for place in places[1:]:
            pair = torch.cat([rows[places[0]], rows[place]])
            hidden = torch.tanh(tensors["head_layer.1.weight"] @ pair + tensors["head_layer.1.bias"])
            outputs.append(float((tensors["head_layer.4.weight"] @ hidden + tensors["head_layer.4.bias"]).mean()))
    return outputs[0] - outputs[1]
