"""A language model as the judge of a response, over any OpenAI-compatible endpoint.

What arrives: samples. What leaves: the verdict on a 1 to 10 scale, mapped to [0, 1], with the judge's own words as
the reason. A reply without a verdict is `unparseable`, never a middle score; pictures are refused, never overlooked.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from typing import Any

import httpx

from rayreward.errors import ConfigError, ServiceUnavailableError
from rayreward.function import Isolation, RewardFunction
from rayreward.types import FailureKind, RewardOutput, Sample, Trajectory

_VERDICT = re.compile(r"score\s*:\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_ASK = "\n\nEnd your reply with one line 'Score: N', N a number from 1 (worst) to 10 (best)."


class LLMJudge(RewardFunction):
    """A judge's verdict. Range [0, 1].

    Args:
        judge_model: the model's name at the endpoint.
        prompt_template: the question; ``{prompt}`` and ``{response}`` are filled in, and added where it lacks them.
        api_key: else the environment's OPENAI_API_KEY. It is not part of the version.
        base_url: the endpoint's root, up to ``/v1``.
        max_concurrency: requests under way at once.

    Raises:
        ConfigError: an empty template.

    Example:
        >>> LLMJudge(judge_model="gpt-4", prompt_template="Rate this response...", api_key="...").isolation
        'inline'
    """

    isolation: Isolation = "inline"
    name = "llm_judge"
    timeout_s = 60.0

    def __init__(
        self,
        judge_model: str,
        prompt_template: str,
        api_key: str | None = None,
        *,
        base_url: str = "https://api.openai.com/v1",
        max_concurrency: int = 32,
    ) -> None:
        if not prompt_template.strip():
            raise ConfigError("LLMJudge needs a prompt_template that says what to judge, found an empty one")
        self.judge_model, self.prompt_template = judge_model, prompt_template
        self.base_url, self.max_concurrency = base_url.rstrip("/"), max_concurrency
        self._api_key = api_key

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Ask for every sample, `max_concurrency` at a time, over one connection pool."""
        slots = asyncio.Semaphore(self.max_concurrency)
        key = self._api_key or os.environ.get("OPENAI_API_KEY", "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(headers=headers, timeout=self.timeout_s) as http:

            async def ask(sample: Sample) -> RewardOutput:
                async with slots:
                    return await self._ask(http, sample)

            return list(await asyncio.gather(*(ask(sample) for sample in samples)))

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The verdict on one sample."""
        return (await self.ascore([trajectory]))[0]

    async def _ask(self, http: httpx.AsyncClient, sample: Sample) -> RewardOutput:
        body = {
            "model": self.judge_model,
            "temperature": 0,
            "messages": [{"role": "user", "content": self._question(sample)}],
        }
        unread = [kind for message in sample.messages for kind in message.unread_parts]
        if unread:
            message = f"the judge is sent text only, found a part of type {unread[0]!r}"
            return RewardOutput.failed(FailureKind.INVALID_INPUT, message)
        try:
            answer = await http.post(f"{self.base_url}/chat/completions", json=body)
            answer.raise_for_status()
            reply = _reply_text(answer.json())
        except httpx.TimeoutException:
            return RewardOutput.failed(FailureKind.TIMEOUT, f"the judge gave no answer within {self.timeout_s:g} s")
        except UnicodeEncodeError as error:
            return RewardOutput.failed(FailureKind.INVALID_INPUT, f"the sample is no valid Unicode: {error}")
        except (httpx.HTTPError, ServiceUnavailableError, ValueError) as error:
            return RewardOutput.failed(FailureKind.UNAVAILABLE, f"the judge at {self.base_url} answered: {error}")
        verdicts = _VERDICT.findall(reply)
        if not verdicts or not 1 <= float(verdicts[-1]) <= 10:
            return RewardOutput.failed(
                FailureKind.UNPARSEABLE, f"no 'Score: 1..10' in the judge's reply: {reply[-200:]!r}"
            )
        return RewardOutput((float(verdicts[-1]) - 1) / 9, reason=reply.strip())

    def _question(self, sample: Sample) -> str:
        template = self.prompt_template
        for field in ("prompt", "response"):
            if f"{{{field}}}" not in template:
                template += f"\n\n<{field}>\n{{{field}}}\n</{field}>"
        # One pass and not str.format: the texts may hold braces, or the fields' own names.
        texts = {"{prompt}": sample.prompt, "{response}": sample.response}
        return re.sub(r"\{(?:prompt|response)\}", lambda found: texts[found.group()], template) + _ASK


def _reply_text(payload: Any) -> str:
    try:
        return str(payload["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError):
        raise ServiceUnavailableError(f"a body that is no chat completion: {payload!r:.200}") from None
