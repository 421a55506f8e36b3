"""How long a text a model can read, by the positions that it has.

What arrives: transformers' configuration of a model. What leaves: a number of tokens, or None where there is no limit.
"""

from __future__ import annotations

from typing import Any

_RESERVED = frozenset(
    {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "roberta-prelayernorm", "mpnet"}
)
"""Models that count positions from behind the padding's own: so many fewer tokens fit."""


def position_limit(config: Any) -> int | None:
    """The most tokens that the model has positions for; None where positions are only relative (DeBERTa v2 and v3).

    Example:
        >>> from types import SimpleNamespace
        >>> position_limit(SimpleNamespace(model_type="roberta", max_position_embeddings=514, pad_token_id=1))
        512
    """
    limit: int | None = getattr(config, "max_position_embeddings", None)
    is_relative = getattr(config, "relative_attention", False) and not getattr(config, "position_biased_input", True)
    if limit is None or is_relative:
        return None
    if getattr(config, "model_type", "") in _RESERVED:
        return limit - int(getattr(config, "pad_token_id", 1) or 0) - 1
    return limit
