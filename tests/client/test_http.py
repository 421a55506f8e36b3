from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import cloudpickle
import httpx
import pytest

from rayreward import HttpClient, RewardFunction, Sample
from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    DeadlineError,
    InvalidInputError,
    InvalidOutputError,
    RequestTooLargeError,
    ServiceUnavailableError,
    UnknownRewardError,
)
from rayreward.rewards import CompositeReward
from rayreward.router.config import Limits
from rayreward.testing import ScriptedReward, served

Step = httpx.Response | Exception


class Script(httpx.AsyncBaseTransport):
    """Answers each request by the next step of a script, and remembers what was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps, self.requests = list(steps), list[httpx.Request]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0) if self.steps else answering(request)
        if isinstance(step, Exception):
            raise step
        return step


def answering(request: httpx.Request) -> httpx.Response:
    count = len(json.loads(request.content)["samples"])
    return httpx.Response(200, json={"reward": "r", "outputs": [{"score": float(at)} for at in range(count)]})


def refusing(status: int, message: str = "because", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": "X", "message": message}, headers=headers)


Open = Callable[..., tuple[HttpClient, Script, list[float]]]


@pytest.fixture
async def scripted() -> AsyncIterator[Open]:
    """Makes clients over a script, whose pauses are written down instead of waited for."""
    clients: list[HttpClient] = []

    def make(*steps: Step, **options: Any) -> tuple[HttpClient, Script, list[float]]:
        script, pauses = Script(*steps), list[float]()

        async def sleep(pause_s: float) -> None:
            pauses.append(pause_s)

        clients.append(HttpClient("http://h:1/", transport=script, sleep=sleep, **options))
        return clients[-1], script, pauses

    yield make
    for client in clients:
        await client.aclose()


async def test_the_priority_is_said_where_it_is_not_the_usual_one(scripted: Open) -> None:
    client, script, _ = scripted()
    await client.ascore([Sample(response="a")])
    await client.ascore([Sample(response="b")], priority="eval")
    bodies = [json.loads(request.content) for request in script.requests]
    assert [body.get("priority") for body in bodies] == [None, "eval"], "an older service knows no such field"


async def test_an_unknown_priority_is_answered_with_the_nearest(scripted: Open) -> None:
    client, script, _ = scripted()
    with pytest.raises(InvalidInputError, match="no priority 'evla'; did you mean 'eval'"):
        await client.ascore([Sample(response="a")], priority="evla")  # type: ignore[arg-type]
    assert script.requests == []


class TestAgainstTheDoor:
    async def test_scores_and_lists(self) -> None:
        async with served(
            {"scripted": ScriptedReward({"bad": ValueError("no")}), "other": ScriptedReward(default=2)}
        ) as service:
            outputs = await service.client.ascore([{"response": "a"}, Sample(response="bad")])
            assert [output.score for output in outputs] == [1.0, None]
            assert outputs[0].timings is not None
            assert outputs[0].timings.batch_samples == 2
            [output] = await service.client.ascore([{"response": "a"}], reward="other")
            assert output.score == 2.0
            infos = await service.client.arewards()
            assert [(info.name, info.state, info.version) for info in infos] == [
                ("scripted", "ready", outputs[0].version),
                ("other", "ready", output.version),
            ]

    def test_works_for_code_that_is_not_async(self) -> None:
        with served({"scripted": ScriptedReward()}) as service:
            assert service.client.score([{"response": "a"}])[0].score == 1.0

    async def test_large_lists_travel_in_parts_and_come_back_in_order(self) -> None:
        async with served({"length": lambda response: float(len(response))}) as service:
            samples = [Sample(response="x" * (position % 7)) for position in range(5000)]
            outputs = await service.client.ascore(samples)
            assert [output.failure for output in outputs if output.failure is not None] == []
            assert [output.score for output in outputs] == [float(position % 7) for position in range(5000)]

    async def test_a_sample_that_json_cannot_hold_fails_alone(self) -> None:
        async with served({"scripted": ScriptedReward()}) as service:
            samples = [Sample(response="a"), Sample(response="b", label=object()), Sample(response="\ud800")]
            outputs = await service.client.ascore(samples)
            kinds = [output.failure and output.failure.kind.value for output in outputs]
            assert kinds == [None, "invalid_input", "invalid_input"]
            only = await service.client.ascore(samples[1:])
            assert [output.score for output in only] == [None, None]

    async def test_refusals_become_the_errors_of_the_tree(self) -> None:
        limits = Limits(max_request_samples=2, max_request_bytes=2000)
        async with served({"scripted": ScriptedReward()}, limits=limits, token="secret") as service:
            with pytest.raises(UnknownRewardError, match="did you mean 'scripted'"):
                await service.client.ascore([{"response": "a"}], reward="scriptde")
            with pytest.raises(UnknownRewardError, match=r"no reward 'a b\?c#d'"):
                await service.client.ascore([{"response": "a"}], reward="a b?c#d")
            with pytest.raises(RequestTooLargeError, match="2 samples, found 3"):
                await service.client.ascore([{"response": "a"}] * 3)
            with pytest.raises(RequestTooLargeError, match="2000 bytes"):
                await service.client.ascore([{"response": "a" * 3000}])
            stranger = HttpClient("http://h", token="wrong", transport=httpx.ASGITransport(service.door))
            async with stranger:
                with pytest.raises(AuthenticationError, match="missing or wrong"):
                    await stranger.ascore([{"response": "a"}])

    def test_a_part_of_a_composite_may_be_remote_and_still_travel(self) -> None:
        with served({"scripted": ScriptedReward(default=0.5)}) as service:
            remote = RewardFunction(name="scripted", endpoint="http://rayreward.test")
            remote._remote = service.client
            composite = CompositeReward([(remote, 0.5), (ScriptedReward(), 0.5, "local")])
            assert composite(response="a").score == 0.75
        assert cloudpickle.loads(
            cloudpickle.dumps(CompositeReward([(RewardFunction(name="x", mode="remote"), 1)]))
        ).parts


class TestRetries:
    @pytest.mark.parametrize(
        "lost",
        [
            refusing(503), refusing(500), refusing(502), refusing(504),
            httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.RemoteProtocolError("gone"),
        ],
    )  # fmt: skip
    async def test_what_a_connection_loses_is_sent_again(self, scripted: Open, lost: Step) -> None:
        client, script, pauses = scripted(lost, lost)
        assert (await client.ascore([{"response": "a"}]))[0].score == 0.0
        assert len(script.requests) == 3
        assert len({request.content for request in script.requests}) == 1
        assert len(pauses) == 2

    async def test_pauses_grow_and_end(self, scripted: Open) -> None:
        client, script, pauses = scripted(*[httpx.ConnectError("refused")] * 50)
        with pytest.raises(ServiceUnavailableError, match=r"http://h:1/v1/rewards cannot be reached: refused"):
            await client.ascore([{"response": "a"}])
        assert len(script.requests) == 10
        assert pauses[0] < pauses[3] < pauses[8] <= 5.0

    async def test_nothing_is_sent_again_after_the_deadline(self, scripted: Open) -> None:
        client, script, pauses = scripted(*[httpx.ConnectError("refused")] * 50)
        with pytest.raises(ServiceUnavailableError):
            await client.ascore([{"response": "a"}], timeout_s=0.001)
        assert (len(script.requests), pauses) == (1, [])

    async def test_a_full_service_says_when_to_come_back(self, scripted: Open) -> None:
        client, _, pauses = scripted(refusing(429, **{"Retry-After": "7"}))
        await client.ascore([{"response": "a"}])
        assert pauses == [7.0]

    async def test_one_that_stays_full_is_asked_until_the_deadline(self, scripted: Open) -> None:
        full = refusing(429, "full", **{"Retry-After": "1"})
        client, script, _ = scripted(*[full] * 50)
        assert (await client.ascore([{"response": "a"}]))[0].score == 0.0
        assert len(script.requests) == 51

    async def test_one_that_is_full_for_longer_than_there_is_time_is_backpressure(self, scripted: Open) -> None:
        client, _, _ = scripted(refusing(429, "full", **{"Retry-After": "Wed, 21 Oct"}))
        with pytest.raises(BackpressureError, match="full") as caught:
            await client.ascore([{"response": "a"}], timeout_s=0.5)
        assert caught.value.retry_after_s == 1.0

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, InvalidInputError), (401, AuthenticationError), (403, AuthenticationError),
            (404, UnknownRewardError), (405, InvalidInputError), (408, DeadlineError), (413, RequestTooLargeError),
            (418, InvalidOutputError),
        ],
    )  # fmt: skip
    async def test_a_refusal_is_final(self, scripted: Open, status: int, error: type[Exception]) -> None:
        client, script, _ = scripted(refusing(status, "because"))
        with pytest.raises(error, match="because"):
            await client.ascore([{"response": "a"}])
        assert len(script.requests) == 1

    async def test_a_late_answer_is_a_deadline(self, scripted: Open) -> None:
        client, _, _ = scripted(httpx.ReadTimeout("late"))
        with pytest.raises(DeadlineError, match="no answer in time"):
            await client.ascore([{"response": "a"}])

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(200, text="<html>welcome</html>"),
            httpx.Response(200, json={"reward": "r", "outputs": []}),
            httpx.Response(302, headers={"Location": "/login"}),
        ],
    )
    async def test_another_servers_answer_is_told_apart(self, scripted: Open, answer: httpx.Response) -> None:
        client, _, _ = scripted(answer)
        with pytest.raises(InvalidOutputError):
            await client.ascore([{"response": "a"}])

    @pytest.mark.parametrize("body", ["<html>", "{}", '{"rewards": 3}', '{"rewards": [{"nme": "x"}]}', "[]"])
    async def test_so_is_another_servers_list(self, scripted: Open, body: str) -> None:
        client, _, _ = scripted(httpx.Response(200, text=body))
        with pytest.raises(InvalidOutputError, match="lists no rewards"):
            await client.arewards()

    async def test_a_404_of_somebody_else_is_no_unknown_reward_but_no_service(self, scripted: Open) -> None:
        client, _, _ = scripted(httpx.Response(404, text="nginx says no"))
        with pytest.raises(ServiceUnavailableError, match="nginx says no"):
            await client.ascore([{"response": "a"}])


class TestConfiguration:
    @pytest.mark.parametrize("url", ["localhost:8000", "h", "", "ftp://h", "http://", "http://h:port", "http://[::1"])
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError):
            HttpClient(url)

    async def test_the_token_of_the_environment_is_read_where_it_is_used(
        self, scripted: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAYREWARD_TOKEN", "from-here")
        client, script, _ = scripted()
        assert b"from-here" not in pickle.dumps(HttpClient("http://h"))
        monkeypatch.setenv("RAYREWARD_TOKEN", "from-there")
        await client.ascore([{"response": "a"}])
        assert script.requests[0].headers["authorization"] == "Bearer from-there"

    async def test_a_token_given_wins_and_none_is_sent_where_there_is_none(
        self, scripted: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAYREWARD_TOKEN", "environment")
        client, script, _ = scripted(token="given")
        await client.ascore([{"response": "a"}])
        assert script.requests[0].headers["authorization"] == "Bearer given"
        monkeypatch.delenv("RAYREWARD_TOKEN")
        client, script, _ = scripted()
        await client.ascore([{"response": "a"}])
        assert "authorization" not in script.requests[0].headers

    async def test_run_and_deadline_travel(self, scripted: Open) -> None:
        client, script, _ = scripted()
        await client.ascore([{"response": "a"}], run="ppo-7", timeout_s=12.0)
        assert json.loads(script.requests[0].content) | {"run": "ppo-7", "timeout_s": 12.0} == json.loads(
            script.requests[0].content
        )

    async def test_no_samples_ask_nobody(self, scripted: Open) -> None:
        client, script, _ = scripted()
        assert await client.ascore([]) == []
        assert script.requests == []
