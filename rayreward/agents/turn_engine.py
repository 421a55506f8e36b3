"""A vLLM engine whose single answers are bounded.

What arrives: OpenRLHF's calls for the next turn. What leaves: the engine's own answers. OpenRLHF gives every turn all
of the context that is left (``max_len`` minus what is used), so that ``max_new_tokens`` bounds no turn of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TurnEngine:
    """The engine for one episode.

    Args:
        engine: OpenRLHF's rollout actor, or what stands in for it.
        limit_tokens: the longest answer; None leaves it to the context.

    Attributes:
        action_ids: the tokens of the last answer.
    """

    def __init__(self, engine: Any, limit_tokens: int | None) -> None:
        self._engine, self.limit_tokens = engine, limit_tokens
        self.action_ids: Sequence[int] = ()

    async def generate(self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        """The next answer. `sampling_params` is this call's own copy."""
        if self.limit_tokens is not None:
            sampling_params.max_tokens = min(sampling_params.max_tokens, self.limit_tokens)
        output = await self._engine.generate(prompt_token_ids, sampling_params, multi_modal_data=multi_modal_data)
        self.action_ids = output.outputs[0].token_ids
        return output
