"""A reward manager for verl that scores through the router, prompt included.

What arrives: one sample of verl's reward loop at a time, from as many coroutines as there are. What leaves: its score
and its extra infos, the same keys for every sample: see `rayreward.trainers.verl`. What is asked at the same time
travels in one call. Imported where verl runs: it needs verl, 0.7 to 0.9.

In verl's configuration:

    reward.reward_manager.source=importlib
    reward.reward_manager.name=RayRewardManager
    reward.reward_manager.module.path=pkg://rayreward.trainers.verl_manager
    +reward.reward_kwargs.reward=math
    +reward.reward_kwargs.endpoint=http://<head>:8000

It is in verl's registry as ``rayreward`` too, in processes that have imported this module, which verl does on
``VERL_USE_EXTERNAL_MODULES=rayreward.trainers.verl_manager``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from rayreward.plain import plain
from rayreward.sample import Sample
from rayreward.trainers.verl_protocol import VerlSettings, told


@register("rayreward")
class RayRewardManager(RewardManagerBase):  # type: ignore[misc]
    """verl's reward manager over one reward of the router; its options are `VerlSettings`.

    A custom reward function is none of its business: with one configured, take verl's own managers.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any = None, **_: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        self._settings = VerlSettings.of(dict(config.reward.get("reward_kwargs") or {}))

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The last sequence's score."""
        row = data[-1:][0]  # of an episode with several sequences, verl scores the last one
        response = await self.loop.run_in_executor(None, self._decode, row)
        sample, prompt = sample_of(row.non_tensor_batch, response)
        [filled] = await self._settings.client().ascore([sample], [prompt])
        return {"reward_score": filled.number, "reward_extra_info": told(filled, self._settings.components)}

    def _decode(self, row: Any) -> str:
        tokens = row.batch["responses"]
        length = row.batch["attention_mask"][-tokens.shape[-1] :].sum()
        return str(self.tokenizer.decode(tokens[:length], skip_special_tokens=True))


def sample_of(columns: Mapping[str, Any], response: str) -> tuple[Sample, str]:
    """A sample with its conversation where verl has it, and the text that its siblings share."""
    extra = plain(columns.get("extra_info"))
    turns = columns.get("__num_turns__")
    metadata = {
        **(extra if isinstance(extra, dict) else {}),
        "data_source": str(columns.get("data_source")),
        "num_turns": None if turns is None else int(turns),
    }
    chat = plain(columns.get("raw_prompt"))
    label = plain((columns.get("reward_model") or {}).get("ground_truth"))
    group = str(columns["uid"]) if "uid" in columns else None
    if isinstance(chat, list) and chat:
        answer = {"role": "assistant", "content": response}
        sample = Sample([*chat, answer], label=label, metadata=metadata, group_id=group)
    else:
        sample = Sample(response=response, label=label, metadata=metadata, group_id=group)
    return sample, group or sample.prompt or repr((metadata["data_source"], metadata.get("index"), label))
