"""A language model in this process, by vLLM: a judge of one's own, without a server beside it.

What arrives: questions. What leaves: replies; vLLM batches by itself, over all questions that are under way
(`rayreward.vllm_engine`). The probabilities of choices are those
of their very tokens (``logprob_token_ids``), raw, whatever the model is about to say. Prompts stay cached, so a rubric
that comes first is computed once. A question whose caller has gone is taken out of the engine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from itertools import count
from typing import Any

from rayreward.errors import ConfigError, DeadlineError, InvalidInputError, RewardLoadError
from rayreward.judges.endpoint import Question, Reply
from rayreward.vllm_engine import VllmEngine, cpu_arguments, device_type

_OURS = frozenset({"model", "runner", "max_model_len"})


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
        self._engine = VllmEngine(self._path)
        self._tokenizer: Any = None
        self._loading = threading.Lock()
        self._numbers = count()

    @property
    def is_loaded(self) -> bool:
        """Whether the engine runs."""
        return self._engine.is_running

    @property
    def lost(self) -> str | None:
        """That its engine has died."""
        return self._engine.lost

    def load(self) -> None:
        """Start the engine, once: tens of seconds.

        Raises:
            RewardLoadError: vLLM cannot run the checkpoint, or it has no chat template.
            MissingExtraError: vLLM is not installed.
        """
        with self._loading:
            if self._engine.is_running:
                return
            arguments = self._arguments()
            self._tokenizer = _load_tokenizer(self._path, trust_remote_code=self._trusts_code)
            self._engine.start(arguments)

    async def ask(self, question: Question) -> Reply:
        """The reply; see `Endpoint.ask` for the errors. The first question loads the model."""
        if not self.is_loaded:
            await asyncio.to_thread(self.load)
        future = self._engine.submit(self._generate(question, self._ids_of(question)))
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
            self._engine.end()

    def _arguments(self) -> dict[str, Any]:
        is_cpu = device_type("a judge in this process") == "cpu"
        return {
            "model": self._path,
            "dtype": self._dtype,
            "max_model_len": self._max_length,
            "trust_remote_code": self._trusts_code,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            **(cpu_arguments(tensor_parallel_size=self._further.get("tensor_parallel_size", 1)) if is_cpu else {}),
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
        from vllm.inputs import TokensPrompt

        prompt, parameters = TokensPrompt(prompt_token_ids=list(ids)), self._parameters(question)
        stream = self._engine.client.generate(prompt, parameters, f"question-{next(self._numbers)}")
        answer: Any = await self._engine.answer(stream, asked="question")
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


_LIVE = frozenset({"_engine", "_tokenizer", "_loading", "_numbers"})
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
