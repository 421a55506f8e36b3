"""Runs in a process that has verl: verl's own configuration, loader and reward loop score a batch through our plug-in.

Arguments: the service's URL, a tokenizer's folder, and how, once or several times: function, async_function, manager,
batch, cluster. The last line of stdout is what came of each, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import verl
from hydra import compose, initialize_config_dir
from tensordict import TensorDict
from transformers import AutoTokenizer

RESPONSES = ("good", "fair", "bad", "good")
OURS = "rayreward.trainers.verl"


def configuration(how: str, url: str, model: str) -> Any:
    """verl's own configuration with the overrides that our documentation gives."""
    overrides = [f"actor_rollout_ref.model.path={model}", "reward.num_workers=2"]
    if how in ("manager", "cluster"):
        overrides += [
            "reward.reward_manager.source=importlib",
            "reward.reward_manager.name=RayRewardManager",
            "reward.reward_manager.module.path=pkg://rayreward.trainers.verl_manager",
            "+reward.reward_kwargs.reward=scripted",
            f"+reward.reward_kwargs.endpoint={url}",
            "+reward.reward_kwargs.components=[format,prompted]",
        ]
    else:
        import rayreward.trainers.verl as ours

        kwargs = "reward.custom_reward_function.reward_kwargs"
        overrides += [
            f"reward.custom_reward_function.path={'pkg://' + OURS if how == 'async_function' else ours.__file__}",
            f"reward.custom_reward_function.name={'acompute_score' if how == 'async_function' else 'compute_score'}",
            f"+{kwargs}.reward=scripted",
            f"+{kwargs}.endpoint={url}",
            f"+{kwargs}.components=[format,prompted]",
        ]
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return compose("ppo_trainer", overrides=overrides)


def batch_of(tokenizer: Any) -> Any:
    """Two prompts with two responses each, as verl's rollout leaves them: prompts padded left, responses right."""
    prompts = ["1 + 1 = ?", "1 + 1 = ?", "12 + 2 = ?", "12 + 2 = ?"]
    rows = [(tokenizer(p)["input_ids"], tokenizer(r)["input_ids"]) for p, r in zip(prompts, RESPONSES, strict=True)]
    left, right = max(len(p) for p, _ in rows), max(len(r) for _, r in rows)
    pad = tokenizer.pad_token_id
    tensors = {
        "prompts": torch.tensor([[pad] * (left - len(p)) + p for p, _ in rows]),
        "responses": torch.tensor([r + [pad] * (right - len(r)) for _, r in rows]),
        "attention_mask": torch.tensor(
            [[0] * (left - len(p)) + [1] * (len(p) + len(r)) + [0] * (right - len(r)) for p, r in rows]
        ),
    }
    columns = {
        "data_source": ["sums"] * 4,
        "reward_model": [{"style": "rule", "ground_truth": "2"}] * 2 + [{"style": "rule", "ground_truth": "14"}] * 2,
        "extra_info": [{"index": np.int64(number // 2)} for number in range(4)],
        "raw_prompt": [[{"role": "user", "content": text}] for text in prompts],
        "uid": ["first", "first", "second", "second"],
        "__num_turns__": [2] * 4,
    }
    arrays = {}
    for name, values in columns.items():
        arrays[name] = np.empty(4, dtype=object)
        arrays[name][:] = values
    return verl.DataProto(batch=TensorDict(tensors, batch_size=4), non_tensor_batch=arrays)


def loop_scores(config: Any, data: Any) -> Any:
    """By the worker of verl's reward loop, and stacked as verl stacks them: by the first sample's keys."""
    from verl.experimental.reward_loop import RewardLoopWorker

    async def score() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await RewardLoopWorker(config).compute_score_batch(data)
        return found

    found = asyncio.run(score())
    infos = [one["reward_extra_info"] for one in found]
    keys = list(infos[0])
    return {
        "scores": [one["reward_score"] for one in found],
        "infos": {key: np.array([info[key] for info in infos]).tolist() for key in keys},
    }


def batch_scores(config: Any, data: Any, tokenizer: Any) -> Any:
    """By verl's older batch reward manager."""
    from verl.utils.import_utils import load_extern_object
    from verl.workers.reward_manager.batch import BatchRewardManager

    function = load_extern_object(config.reward.custom_reward_function.path, "compute_score_batch")
    options = dict(config.reward.custom_reward_function.reward_kwargs)
    found = BatchRewardManager(tokenizer, 0, function, **options)(data, return_dict=True)
    scores = found["reward_tensor"].sum(dim=-1).tolist()
    return {"scores": scores, "infos": dict(found["reward_extra_info"])}


def cluster_scores(config: Any, data: Any) -> Any:
    """By verl's manager of reward workers, which are Ray actors."""
    import ray
    from verl.experimental.reward_loop import RewardLoopManager

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        found = RewardLoopManager(config).compute_rm_score(data)
    finally:
        ray.shutdown()
    keys = found.meta_info["reward_extra_keys"]
    scores = found.batch["rm_scores"].sum(dim=-1).tolist()
    return {"scores": scores, "infos": {key: found.non_tensor_batch[key].tolist() for key in keys}}


def validation_metrics(found: Any) -> Any:
    """What verl's validation makes of it."""
    from verl.trainer.ppo.metric_utils import process_validation_metrics

    metrics = process_validation_metrics(["sums"] * 4, ["a", "a", "b", "b"], found["infos"])
    return {name: values["mean@2"] for name, values in metrics["sums"].items()}


def scores(how: str, url: str, model: str) -> Any:
    """Scores, extra infos and validation metrics of the batch."""
    config, tokenizer = configuration(how, url, model), AutoTokenizer.from_pretrained(model)
    data = batch_of(tokenizer)
    if how == "batch":
        found = batch_scores(config, data, tokenizer)
    elif how == "cluster":
        found = cluster_scores(config, data)
    else:
        found = loop_scores(config, data)
    return {**found, "validation": validation_metrics(found), "version": verl.__version__}


def main() -> None:
    url, model, *ways = sys.argv[1:]
    sys.stdout.write("\n" + json.dumps({how: scores(how, url, model) for how in ways}))


if __name__ == "__main__":
    main()
