"""Callers that ask without end while something is broken beside them.

What arrives: callers, each over a transport of its own. What leaves: a `Ledger`. Each caller sends one request after
the other, and a request's samples are a group to those transports that know groups.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol, Self

from rayreward import Sample
from rayreward.client.base import RewardClient
from rayreward.client.trainer import TrainerClient
from rayreward.errors import RayRewardError
from tests.faults.ledger import Answer, Ledger

_log = logging.getLogger(__name__)

_THINK_S = 0.02
"""Between two requests of a caller: the machine has to serve, too."""


class Caller(Protocol):
    """One way to ask."""

    transport: str

    async def ask(self, numbers: Sequence[int]) -> list[Answer]:
        """One answer a number, in order."""
        ...

    async def aclose(self) -> None:
        """Release what it holds."""
        ...


class NativeCaller:
    """A client of ours that gives outputs: `HttpClient`, `HandleClient`."""

    def __init__(self, transport: str, client: RewardClient, reward: str) -> None:
        self.transport, self._client, self._reward = transport, client, reward

    async def ask(self, numbers: Sequence[int]) -> list[Answer]:
        samples = [Sample(prompt="q ", response=str(number)) for number in numbers]
        outputs = await self._client.ascore(samples, reward=self._reward)
        return [Answer(output.score, output.failure and output.failure.kind.value) for output in outputs]

    async def aclose(self) -> None:
        await self._client.aclose()


class TrainerCaller:
    """Our client for rollout actors: a number for every sample."""

    def __init__(self, transport: str, client: TrainerClient) -> None:
        self.transport, self._client = transport, client

    async def ask(self, numbers: Sequence[int]) -> list[Answer]:
        group = f"group {numbers[0]}"
        samples = [
            Sample(prompt="q ", response=str(number), group_id=group, group_size=len(numbers)) for number in numbers
        ]
        answers = await self._client.answer(samples)
        return [Answer(answer.reward, is_valid=answer.is_valid) for answer in answers]

    async def aclose(self) -> None:
        return


class OpenRLHFCaller:
    """OpenRLHF's own executor, and so its own HTTP client: a request a sample, five attempts, a second between them."""

    def __init__(self, transport: str, url: str) -> None:
        from openrlhf.utils.agent import SingleTurnAgentExecutor

        self.transport = transport
        self._executor = SingleTurnAgentExecutor([url])

    async def ask(self, numbers: Sequence[int]) -> list[Answer]:
        asked = [self._roll_out(f"group {numbers[0]}: ", number) for number in numbers]
        return [answer for answer in await asyncio.gather(*asked) if answer is not None]

    async def _roll_out(self, prompt: str, number: int) -> Answer | None:
        params = SimpleNamespace(max_tokens=16, logprobs=None)
        sample = await self._executor.execute(prompt, "", params, 128, Letters(), Engine(str(number)))
        if sample["reward"] is None:
            raise ConnectionError("OpenRLHF's client gave up: the run would end here")
        return Answer(sample["reward"][0], is_valid=sample["extra_logs"]["reward_valid"] == [1.0])

    async def aclose(self) -> None:
        return


class Letters:
    """A tokenizer whose ids are code points, without torch."""

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        ids = SimpleNamespace(tolist=lambda: [ord(letter) for letter in text])
        return {"input_ids": [ids]}

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(map(chr, ids))


class Engine:
    """A vLLM engine that always says the same."""

    def __init__(self, says: str) -> None:
        self._says = says

    async def generate(self, *_: Any, **__: Any) -> Any:
        ids = [ord(letter) for letter in self._says]
        output = SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None, text=self._says)
        return SimpleNamespace(outputs=[output])


class Load:
    """Every caller asks, for as long as the ``async with`` lasts; on leaving, what is under way is answered first.

    Args:
        callers: who ask; give several of one transport for more of it.
        samples_a_request: of each.
        ledger: to write in; a new one by default.
    """

    def __init__(self, callers: Sequence[Caller], *, samples_a_request: int = 4, ledger: Ledger | None = None) -> None:
        self._callers, self._samples_a_request = callers, samples_a_request
        self.ledger = ledger or Ledger()
        self._is_over = False
        self._asking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._asking = [asyncio.create_task(self._ask_on(caller)) for caller in self._callers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if error is not None:
            for task in self._asking:
                task.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*self._asking)
        finally:
            for caller in self._callers:
                await caller.aclose()
            for name, account in self.ledger.accounts.items():
                _log.info("%s: %s", name, account.summary())

    async def goes_on(self, scored: int, *, within_s: float = 150.0) -> None:
        """Until each transport has had so many further samples scored.

        Raises:
            TimeoutError: with the accounts.
        """
        accounts = [self.ledger.account(caller.transport) for caller in self._callers]
        goals = [account.scored + scored for account in accounts]
        await until(
            lambda: all(account.scored >= goal for account, goal in zip(accounts, goals, strict=True)),
            within_s=within_s,
            what=lambda: {name: account.summary() for name, account in self.ledger.accounts.items()},
        )

    async def _ask_on(self, caller: Caller) -> None:
        ledger, transport = self.ledger, caller.transport
        while not self._is_over:
            numbers, started_s = ledger.send(transport, self._samples_a_request), time.monotonic()
            try:
                answers = await caller.ask(numbers)
            except asyncio.CancelledError:
                ledger.leave(transport, numbers)
                raise
            except (RayRewardError, OSError) as error:
                ledger.lose(transport, numbers, error)
            else:
                ledger.settle(transport, numbers, answers, started_s=started_s)
            await asyncio.sleep(_THINK_S)


async def until(claim: Callable[[], bool], *, within_s: float = 120.0, what: Callable[[], object] = str) -> None:
    """Until `claim` holds.

    Raises:
        TimeoutError: with `what`.
    """
    give_up_s = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"not within {within_s} s: {what()}")
        await asyncio.sleep(0.05)
