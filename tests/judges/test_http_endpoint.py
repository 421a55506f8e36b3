from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    DeadlineError,
    InvalidInputError,
    ServiceUnavailableError,
)
from rayreward.judges.endpoint import Question
from rayreward.judges.http_endpoint import CallLimits, HttpEndpoint
from rayreward.testing import ManualClock

Step = httpx.Response | Exception | str


def completion(text: Any, **parts: Any) -> httpx.Response:
    logprobs = parts.pop("logprobs", None)
    choice = {"message": {"role": "assistant", "content": text}, "logprobs": logprobs}
    return httpx.Response(200, json={"choices": [choice], **parts})


def error(status: int, message: str = "because", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "type": "x"}}, headers=headers)


class Server(httpx.AsyncBaseTransport):
    """Answers each completion by the next step of a script, then by its question; vLLM's other paths by a table."""

    def __init__(self, *steps: Step) -> None:
        self.steps, self.bodies, self.requests = list(steps), list[dict[str, Any]](), list[httpx.Request]()
        self.others: dict[str, Callable[[dict[str, Any]], httpx.Response]] = {}
        self.under_way = self.most_under_way = 0
        self.gate: asyncio.Event | None = None
        self.arrived: asyncio.Condition = asyncio.Condition()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread() or b"{}")
        self.requests.append(request)
        if not request.url.path.endswith("/chat/completions"):
            other = self.others.get(request.url.path)
            return other(body) if other else httpx.Response(404)
        self.bodies.append(body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        async with self.arrived:
            self.arrived.notify_all()
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.under_way -= 1
        step = self.steps.pop(0) if self.steps else completion(body["messages"][0]["content"])
        if isinstance(step, Exception):
            raise step
        return completion(step) if isinstance(step, str) else step

    async def until(self, count: int) -> None:
        """Wait for so many requests under way."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: self.under_way >= count)


class Asked:
    """An endpoint of a scripted server, whose waits are written down instead of waited for."""

    def __init__(self, *steps: Step, limits: CallLimits | None = None, **options: Any) -> None:
        self.server, self.clock, self.slept = Server(*steps), ManualClock(), list[float]()
        self.endpoint = HttpEndpoint(
            "tiny", base_url="http://judge/v1/", limits=limits or CallLimits(), transport=self.server,
            clock=self.clock, sleep=self.sleep, **{"api_key": "secret", **options},
        )  # fmt: skip

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def ask(self, text: str = "How good?", **fields: Any) -> Any:
        return await self.endpoint.ask(Question([{"role": "user", "content": text}], **fields))


Open = Callable[..., Asked]


@pytest.fixture
async def asked() -> AsyncIterator[Open]:
    opened: list[Asked] = []

    def open_one(*steps: Step, **options: Any) -> Asked:
        opened.append(Asked(*steps, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.endpoint.aclose()


async def test_a_question_becomes_a_completion_and_its_reply_comes_back_with_its_tokens(asked: Open) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    one = asked(completion("Fine. \U0001f600", usage=usage))
    reply = await one.ask("Schön?", max_tokens=7, seed=3)
    assert (reply.text, reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (
        "Fine. \U0001f600",
        9,
        4,
        3,
    )
    [request], [body] = one.server.requests, one.server.bodies
    assert str(request.url) == "http://judge/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer secret"
    messages = [{"role": "user", "content": "Schön?"}]
    assert body == {"model": "tiny", "messages": messages, "max_tokens": 7, "temperature": 0.0, "seed": 3}


async def test_the_key_is_read_from_its_variable_at_every_question(
    asked: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = asked(api_key=None, key_variable="JUDGE_KEY")
    monkeypatch.setenv("JUDGE_KEY", "first")
    await one.ask()
    monkeypatch.delenv("JUDGE_KEY")
    await one.ask()
    assert [request.headers.get("authorization") for request in one.server.requests] == ["Bearer first", None]


class TestTriesAgain:
    @pytest.mark.parametrize(
        "step",
        [error(500), error(502), error(503), error(529), error(429), error(408), error(409),
         httpx.Response(503, text="<html>"), httpx.ConnectError("refused"),
         httpx.ReadError("reset"), httpx.RemoteProtocolError("closed")],
    )  # fmt: skip
    async def test_after_what_may_pass(self, asked: Open, step: Step) -> None:
        one = asked(step, step, "better")
        assert (await one.ask()).text == "better"
        assert len(one.slept) == 2
        assert 0.25 <= one.slept[0] <= 0.5 <= one.slept[1] <= 1.0

    async def test_but_only_so_often(self, asked: Open) -> None:
        one = asked(*[error(500, "still down")] * 9, limits=CallLimits(max_tries=3))
        with pytest.raises(ServiceUnavailableError, match=r"http://judge/v1/chat/completions answered 500: still down"):
            await one.ask()
        assert len(one.server.bodies) == 3

    async def test_a_server_that_is_not_there_is_named(self, asked: Open) -> None:
        one = asked(*[httpx.ConnectError("refused")] * 9)
        with pytest.raises(ServiceUnavailableError, match="cannot be reached: refused"):
            await one.ask()

    @pytest.mark.parametrize("status", [429, 503])
    async def test_when_the_server_says_so(self, asked: Open, status: int) -> None:
        one = asked(error(status, **{"retry-after": "7"}), "better")
        assert (await one.ask()).text == "better"
        assert sum(one.slept) >= 7

    async def test_never_past_the_deadline(self, asked: Open) -> None:
        one = asked(error(429, "slow down", **{"retry-after": "100"}), limits=CallLimits(timeout_s=60))
        with pytest.raises(BackpressureError, match="slow down") as refused:
            await one.ask()
        assert refused.value.retry_after_s == 100
        assert one.slept == []

    async def test_what_one_was_told_holds_for_all(self, asked: Open) -> None:
        one = asked(error(429, **{"retry-after": "100"}), limits=CallLimits(timeout_s=60))
        with pytest.raises(BackpressureError):
            await one.ask()
        await one.ask()
        assert one.slept == [100]


class TestGivesUpAtOnce:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_on_a_refused_key_which_nobody_tries_again_for_a_minute(self, asked: Open, status: int) -> None:
        one = asked(error(status, "bad key"))
        for _ in range(50):
            with pytest.raises(AuthenticationError, match=r"the api_key that was given is refused; .*bad key"):
                await one.ask()
        assert len(one.server.bodies) == 1
        one.clock.advance(61)
        assert (await one.ask("now?")).text == "now?"

    async def test_so_do_those_that_wait_their_turn(self, asked: Open) -> None:
        one = asked(error(401), limits=CallLimits(max_concurrency=1))
        failures = await asyncio.gather(*(one.ask() for _ in range(20)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {AuthenticationError}
        assert len(one.server.bodies) == 1

    async def test_the_variable_is_named_and_another_key_in_it_is_tried(
        self, asked: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = asked(error(401), error(401), api_key=None, key_variable="JUDGE_KEY")
        monkeypatch.delenv("JUDGE_KEY", raising=False)
        with pytest.raises(AuthenticationError, match="no key is set: the environment variable JUDGE_KEY"):
            await one.ask()
        monkeypatch.setenv("JUDGE_KEY", "wrong")
        with pytest.raises(AuthenticationError, match="the key in the environment variable JUDGE_KEY is refused"):
            await one.ask()
        monkeypatch.setenv("JUDGE_KEY", "right")
        assert (await one.ask("mine")).text == "mine"

    async def test_on_an_account_without_money(self, asked: Open) -> None:
        body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
        one = asked(httpx.Response(429, json=body))
        with pytest.raises(AuthenticationError, match="no money left"):
            await one.ask()
        assert one.slept == []

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "This model's maximum context length is 512 tokens. However, you requested 700 tokens"),
            (400, "context_length_exceeded"),
            (413, "the prompt is too long"),
            (422, "input is longer than max_model_len, max_tokens included"),
        ],
    )
    async def test_on_a_question_that_is_too_long(self, asked: Open, status: int, message: str) -> None:
        one = asked(error(status, message))
        with pytest.raises(InvalidInputError, match="too long for the model"):
            await one.ask()
        assert len(one.server.bodies) == 1

    @pytest.mark.parametrize(
        ("answer", "raised", "message"),
        [
            (error(404, "no model 'tiny'"), ServiceUnavailableError, "answered 404: no model 'tiny'"),
            (error(400, "messages must not be empty"), InvalidInputError, "must not be empty"),
            (httpx.Response(302, headers={"location": "/login"}), ServiceUnavailableError, r"answered 302: \(an empty"),
            (httpx.Response(200, text="<html>proxy</html>"), ServiceUnavailableError, "no chat completion: b'<html>"),
            (httpx.Response(200, json={"choices": []}), ServiceUnavailableError, "no chat completion"),
            (httpx.Response(200, json=[1]), ServiceUnavailableError, "no chat completion"),
            (httpx.Response(200, json={"choices": [{"message": None}]}), ServiceUnavailableError, "no chat completion"),
            (completion({"score": 1}), ServiceUnavailableError, "no chat completion"),
            (completion("a" * 5_000_000), ServiceUnavailableError, "more than 4194304 bytes"),
            (httpx.Response(200, text="[" * 100_000), ServiceUnavailableError, "no chat completion"),
            (httpx.Response(200, json={"error": {"message": "no"}}), ServiceUnavailableError, "no chat completion"),
            (httpx.Response(200, text='{"choices": [{"mess'), ServiceUnavailableError, "no chat completion"),
            (completion(["Score: 7"]), ServiceUnavailableError, "no chat completion"),
            (completion([5]), ServiceUnavailableError, "no chat completion"),
        ],
    )
    async def test_on_what_is_no_reply(
        self, asked: Open, answer: httpx.Response, raised: type[Exception], message: str
    ) -> None:
        one = asked(answer)
        with pytest.raises(raised, match=message):
            await one.ask()
        assert one.slept == []

    async def test_on_what_cannot_be_sent_without_sending_it(self, asked: Open) -> None:
        one = asked()
        with pytest.raises(InvalidInputError, match="no valid Unicode"):
            await one.ask("\ud800")
        assert one.server.bodies == []


class TestWildNumbers:
    async def test_counts_that_are_missing_or_cannot_be_are_estimated(self, asked: Open) -> None:
        usage = {"prompt_tokens": 10**400, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": -3}}
        reply = await asked(completion("ok", usage=usage)).ask()
        assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (19, 0, 4)
        reply = await asked(completion("ok")).ask()
        assert reply.prompt_tokens == 19
        assert 1 <= reply.completion_tokens <= 20

    async def test_half_a_character_is_shown_as_missing(self, asked: Open) -> None:
        body = rb'{"choices": [{"message": {"content": "\ud800 fine"}}]}'
        assert (await asked(httpx.Response(200, content=body)).ask()).text == "? fine"


class TestLimits:
    async def test_no_more_at_once_than_allowed(self, asked: Open) -> None:
        one = asked(limits=CallLimits(max_concurrency=3))
        one.server.gate = asyncio.Event()
        work = asyncio.gather(*(one.ask(str(number)) for number in range(10)))
        await one.server.until(3)
        one.server.gate.set()
        assert [reply.text for reply in await work] == [str(number) for number in range(10)]
        assert one.server.most_under_way == 3

    async def test_requests_a_minute(self, asked: Open) -> None:
        one = asked(limits=CallLimits(requests_per_minute=60, max_concurrency=1))
        for _ in range(25):
            await one.ask()
        assert one.clock() == pytest.approx(20)

    async def test_tokens_a_minute_by_what_the_server_counted(self, asked: Open) -> None:
        usage = {"prompt_tokens": 90, "completion_tokens": 10}
        one = asked(*[completion("ok", usage=usage) for _ in range(61)], limits=CallLimits(tokens_per_minute=6000))
        for _ in range(61):
            await one.ask(max_tokens=400)
        assert 50 <= one.clock() <= 60  # 61 of 100 tokens at 100 a second, the first 500 at once

    async def test_another_try_takes_a_turn_too(self, asked: Open) -> None:
        limits = CallLimits(requests_per_minute=6, max_tries=2)
        one = asked(error(500), "better", limits=limits)
        assert (await one.ask()).text == "better"
        assert one.clock() >= 9

    async def test_a_slow_server_costs_its_own_question(self, asked: Open) -> None:
        one = asked(limits=CallLimits(timeout_s=0.05))
        one.server.gate = asyncio.Event()
        with pytest.raises(DeadlineError, match=r"gave no answer within 0\.05 s"):
            await one.ask()
        assert one.server.under_way == 0
        one.server.gate.set()
        assert (await one.ask("quick")).text == "quick"

    async def test_a_cancelled_question_leaves_its_slot_to_others(self, asked: Open) -> None:
        one = asked(limits=CallLimits(max_concurrency=1))
        one.server.gate = asyncio.Event()
        leaving = asyncio.create_task(one.ask())
        await one.server.until(1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        one.server.gate.set()
        assert (await one.ask("next")).text == "next"

    @pytest.mark.parametrize(
        "wrong", [{"timeout_s": 0}, {"max_concurrency": -1}, {"max_tries": "3"}, {"max_tries": True}]
    )
    def test_limits_that_let_nothing_through_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be above 0"):
            CallLimits(**wrong)


class TestDialects:
    @pytest.mark.parametrize(
        ("complaint", "without", "with_"),
        [
            ("Unsupported: 'max_tokens'. Use 'max_completion_tokens'.", "max_tokens", "max_completion_tokens"),
            ("'response_format' of type json_schema is not supported with this model", "response_format", "messages"),
            ("Unsupported value: 'temperature' does not support 0", "temperature", "messages"),
            ("extra fields not permitted: seed", "seed", "messages"),
        ],
    )  # fmt: skip
    async def test_what_a_server_refuses_is_left_out_from_then_on(
        self, asked: Open, complaint: str, without: str, with_: str
    ) -> None:
        one = asked(error(400, complaint), "one", "two")
        for text in ("one", "two"):
            assert (await one.ask(json_schema={"type": "object"}, seed=1)).text == text
        assert [without in body for body in one.server.bodies] == [True, False, False]
        assert all(with_ in body for body in one.server.bodies[1:])
        assert one.slept == []

    async def test_a_schema_is_sent_as_openai_has_it(self, asked: Open) -> None:
        one = asked()
        await one.ask(json_schema={"type": "object"})
        wanted = {"name": "verdict", "strict": True, "schema": {"type": "object"}}
        assert one.server.bodies[0]["response_format"] == {"type": "json_schema", "json_schema": wanted}

    async def test_a_complaint_that_stays_is_told(self, asked: Open) -> None:
        one = asked(*[error(400, "seed and temperature are wrong")] * 3)
        with pytest.raises(InvalidInputError, match="are wrong"):
            await one.ask(seed=1)


FIRST = {
    "token": "4",
    "logprob": -0.1,
    "top_logprobs": [{"token": "4", "logprob": -0.1}, {"token": " 5", "logprob": -2}],
}


class TestLogprobs:
    async def test_the_first_positions_tokens_come_back(self, asked: Open) -> None:
        one = asked(completion("4", logprobs={"content": [FIRST]}))
        reply = await one.ask(choices=("4", "5"), max_tokens=1)
        assert reply.logprobs == {"4": -0.1, " 5": -2.0}
        assert one.server.bodies[0]["top_logprobs"] == 20

    @pytest.mark.parametrize(
        "logprobs",
        [None, {"content": None}, {"content": []}, {"content": [{"token": 4}]}, 5]
        + [{"content": [{"token": "4", "logprob": wild}]} for wild in (10**400, 5.0, "0", None, [1])],
    )
    async def test_a_server_without_them_is_no_judge_of_that_kind(self, asked: Open, logprobs: Any) -> None:
        one = asked(completion("4", logprobs=logprobs))
        with pytest.raises(ServiceUnavailableError, match="judge with verdict='text' or 'json'"):
            await one.ask(choices=("4", "5"))

    async def test_a_vllm_is_asked_for_the_very_tokens(self, asked: Open) -> None:
        one = asked(*[completion("4", logprobs={"content": [FIRST]})] * 2)
        ids = {"4": [19], " 4": [220, 19], "5": [20], " 5": [642]}
        one.server.others = {
            "/version": lambda _: httpx.Response(200, json={"version": "0.29.0"}),
            "/tokenize": lambda body: httpx.Response(200, json={"tokens": ids[body["prompt"]]}),
        }
        for _ in range(2):
            await one.ask(choices=("4", "5"))
        assert [body.get("logprob_token_ids") for body in one.server.bodies] == [[19, 20, 642]] * 2
        assert "top_logprobs" not in one.server.bodies[0]
        assert len(one.server.requests) == 1 + 4 + 2

    @pytest.mark.parametrize("version", ["0.28.1", "none", None, 7])
    async def test_other_servers_are_asked_for_the_twenty_likeliest(self, asked: Open, version: Any) -> None:
        one = asked(completion("4", logprobs={"content": [FIRST]}))
        one.server.others = {"/version": lambda _: httpx.Response(200, json={"version": version})}
        await one.ask(choices=("4", "5"))
        assert one.server.bodies[0]["top_logprobs"] == 20

    async def test_choices_of_several_tokens_cannot_be_asked_for_by_id(self, asked: Open) -> None:
        one = asked(completion("4", logprobs={"content": [FIRST]}))
        one.server.others = {
            "/version": lambda _: httpx.Response(200, json={"version": "0.30.1.dev2"}),
            "/tokenize": lambda _: httpx.Response(200, json={"tokens": [1, 2]}),
        }
        await one.ask(choices=("10",))
        assert "logprob_token_ids" not in one.server.bodies[0]


async def test_one_pool_serves_all_questions_of_a_loop_and_travels_nowhere(asked: Open) -> None:
    one = asked()
    await asyncio.gather(*(one.ask() for _ in range(5)))
    assert len(one.endpoint._connections) == 1
    plain = HttpEndpoint("tiny", base_url="http://judge/v1", limits=CallLimits(requests_per_minute=5))
    await plain._connections.here()
    copied = pickle.loads(pickle.dumps(plain))
    assert (copied.url, copied.limits, len(copied._connections)) == (plain.url, plain.limits, 0)
    await plain.aclose()


def test_several_loops_one_after_the_other_have_pools_of_their_own() -> None:
    one = Asked()
    assert [asyncio.run(one.ask(text)).text for text in ("a", "b")] == ["a", "b"]
    assert len(one.endpoint._connections) == 1


@pytest.mark.parametrize("url", ["judge:8000", "ftp://judge/v1", "", "http://", None])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        HttpEndpoint("tiny", base_url=url)


async def test_a_copy_on_another_machine_begins_with_its_own_clock_and_asks_for_itself(asked: Open) -> None:
    one = asked(error(401), limits=CallLimits(requests_per_minute=60))
    one.clock.advance(1e6)  # a machine that has been up for long
    with pytest.raises(AuthenticationError):
        await one.ask()
    state = one.endpoint.__getstate__()
    copied = HttpEndpoint.__new__(HttpEndpoint)
    copied.__setstate__({**state, "_clock": ManualClock()})
    assert (await copied.ask(Question([{"role": "user", "content": "again"}]))).text == "again"
    assert one.slept == []
    await copied.aclose()


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_key_that_a_server_repeats_is_told_to_nobody(asked: Open, status: int) -> None:
    one = asked(error(status, "wrong key: hush-hush"), api_key="hush-hush", limits=CallLimits(max_tries=1))
    with pytest.raises(Exception, match="wrong key: \u2026") as told:
        await one.ask()
    assert "hush" not in str(told.value)


async def test_a_key_that_cannot_be_sent_is_told_to_nobody_either(asked: Open) -> None:
    one = asked(api_key="hush hush")
    with pytest.raises(AuthenticationError, match="cannot be sent") as told:
        await one.ask()
    assert "hush" not in str(told.value)
    assert one.server.requests == []
