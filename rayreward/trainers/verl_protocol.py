"""What verl says of a sample, and what it is told of one; what its configuration may say of the reward.

What arrives: the arguments of a reward function, and options. What leaves: a `Sample` with the text that names its
prompt; the dict that verl wants. Shared by `rayreward.trainers.verl`, which verl may load as a file and pickle by
value, and `rayreward.trainers.verl_manager`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from rayreward.errors import ConfigError, did_you_mean
from rayreward.plain import plain
from rayreward.sample import Sample
from rayreward.types import RewardOutput

if TYPE_CHECKING:
    from rayreward.client.filled import FilledScore, FillingClient

_VERLS_OWN = frozenset({"reward_router_address", "reward_model_tokenizer"})
"""What verl adds where it runs a reward model of its own."""

_PROMPT_COLUMNS = ("question", "prompt", "problem")
"""Columns of `extra_info` in which verl's examples of data preparation leave the prompt, the first present wins."""


@dataclass(frozen=True, slots=True)
class VerlSettings:
    """What the configuration says: where the reward is, and what is told of it.

    Attributes:
        reward: its name; else the environment's RAYREWARD_REWARD, else the service's main reward.
        endpoint: the service's URL, or the reward's own; else the environment's RAYREWARD_URL.
        app: instead, the Serve application of this Ray cluster; else the environment's RAYREWARD_APP.
        run: the training; else the environment's RAYREWARD_RUN.
        fallback: the score of a failed sample; None takes what teaches nothing.
        components: which ones every sample's dict has, under ``reward/<component>``.
        wait_s: how long samples wait for a reward that nobody answers for.
        max_unavailable_s: after so long without any answer the training is stopped; None never stops it.
    """

    reward: str | None = None
    endpoint: str | None = None
    app: str | None = None
    run: str | None = None
    fallback: float | None = None
    components: tuple[str, ...] = ()
    wait_s: float = 600.0
    max_unavailable_s: float | None = 900.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> VerlSettings:
        """From the keyword arguments of a call.

        Raises:
            ConfigError: one that is neither ours nor verl's.
        """
        known = {field.name for field in fields(cls)}
        for name in options.keys() - known - _VERLS_OWN:
            raise ConfigError(f"reward_kwargs: there is no {name!r}; {did_you_mean(name, sorted(known))}")
        own = {name: value for name, value in options.items() if name in known}
        if "components" in own:
            own["components"] = tuple(map(str, own["components"]))
        return cls(**own)

    def client(self) -> FillingClient:
        """This process's client: the same one for the same settings."""
        from rayreward.client.address import RewardAddress
        from rayreward.client.filled import shared_filling_client

        address = RewardAddress(
            reward=self.reward,
            endpoint=self.endpoint,
            app=self.app,
            run=self.run,
            wait_s=self.wait_s,
            max_unavailable_s=self.max_unavailable_s,
        )
        return shared_filling_client(address, self.fallback)


def sample_of(data_source: Any, solution: str, ground_truth: Any, extra_info: Any) -> tuple[Sample, str]:
    """A sample, and the text that its siblings share: the prompt, or what tells its row of the data set.

    Example:
        >>> sample, prompt = sample_of("gsm8k", "4", "4", {"question": "2 + 2?", "index": 7})
        >>> sample.prompt, sample.label, sample.metadata["data_source"], prompt
        ('2 + 2?', '4', 'gsm8k', '2 + 2?')
    """
    extra = plain(extra_info) if isinstance(extra_info, Mapping) else {}
    prompt = next((extra[name] for name in _PROMPT_COLUMNS if isinstance(extra.get(name), str)), None)
    label = plain(ground_truth)
    sample = Sample(prompt=prompt, response=solution, label=label, metadata={**extra, "data_source": str(data_source)})
    return sample, prompt or repr((str(data_source), extra.get("index"), label))


def told(filled: FilledScore, components: Sequence[str]) -> dict[str, Any]:
    """What verl is told of one sample."""
    failure = filled.output.failure
    return {
        "score": filled.number,
        "reward_valid": 1.0 if filled.is_valid else 0.0,
        "reward_failure": "" if failure is None else failure.kind.value,
        **{f"reward/{name}": _component(filled.output, name) for name in components},
    }


def _component(output: RewardOutput, name: str) -> float | None:
    metric = output.metrics.get(name) if output.score is not None else None
    return _no_value() if metric is None or metric.score is None else metric.score


@functools.cache
def _no_value() -> float | None:
    try:
        version = importlib.metadata.version("verl")
    except importlib.metadata.PackageNotFoundError:  # a checkout: what every version can take
        return math.nan
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return None if numbers >= (0, 9, 1) else math.nan
