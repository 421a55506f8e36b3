from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rayreward import RewardFunction, RewardOutput, Sample
from rayreward.errors import ConfigError
from rayreward.rewards import HostedRewardModel
from rayreward.spec import load_reward
from tests.live import listening


class Server:
    """A hosted model whose answers are written down beforehand, by a word of the response; one after the other."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers, self.asked = {word: list(listed) for word, listed in answers.items()}, list[dict[str, Any]]()
        self.most_at_once = self._at_once = 0
        self.released = asyncio.Event()
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        body = await request.json()
        self.asked.append({**body, "path": request.url.path, "key": request.headers.get("authorization")})
        await asyncio.sleep(0)
        self._at_once -= 1
        response = body["messages"][-1]["content"]
        word = next((word for word in self.answers if word in response), None)
        answer = 1.0 if word is None else self.answers[word].pop(0)
        if isinstance(answer, Response):
            return answer
        if answer == "hang":
            await self.released.wait()
        text = f"reward:{answer}" if isinstance(answer, float) else answer
        return JSONResponse({"choices": [{"message": {"content": text}}]})


@asynccontextmanager
async def asked(answers: dict[str, list[Any]] | None = None, **options: Any) -> AsyncIterator[tuple[Any, Server]]:
    server = Server(answers or {})
    options = {"weights": {"reward": 1.0}, "base_url": "", **options}
    async with listening(server.app) as url:
        options["base_url"] = f"{url}/v1"
        try:
            yield HostedRewardModel("tiny-reward", **options), server
        finally:
            server.released.set()


def samples(*responses: str) -> list[Sample]:
    return [Sample(prompt="2 + 2?", response=response) for response in responses]


def kind(output: RewardOutput) -> str | None:
    return output.failure.kind.value if output.failure else None


def message(output: RewardOutput) -> str:
    return output.failure.message if output.failure else ""


async def test_every_sample_is_asked_about_and_order_is_kept() -> None:
    async with asked({f"#{at}#": [float(at)] for at in range(20)}, max_concurrency=3) as (reward, server):
        outputs = await reward.ascore(samples(*(f"#{at}#" for at in range(20))))
        assert [output.score for output in outputs] == [float(at) for at in range(20)]
        assert server.most_at_once <= 3
        assert server.asked[0]["model"] == "tiny-reward"
        assert server.asked[0]["path"] == "/v1/chat/completions"
        assert server.asked[0]["messages"][0] == {"role": "user", "content": "2 + 2?"}


@pytest.mark.parametrize("reply", ["I like it.", "", "reward:", "helpfulness:2.0"])
async def test_a_reply_without_the_number_is_unparseable_and_asked_for_once(reply: str) -> None:
    async with asked({"odd": [reply]}) as (reward, server):
        odd, fine = await reward.ascore(samples("odd", "fine"))
        assert (odd.score, kind(odd), fine.score) == (None, "unparseable", 1.0)
        assert len(server.asked) == 2


async def test_a_body_that_is_no_json_is_unparseable() -> None:
    async with asked({"odd": [Response("<html>")]}) as (reward, _):
        [output] = await reward.ascore(samples("odd"))
        assert (kind(output), "<html>" in message(output)) == ("unparseable", True)


async def test_a_service_that_stumbles_is_asked_again() -> None:
    stumbles = [Response(status_code=503, headers={"retry-after": "0"}), Response(status_code=500), 2.0]
    async with asked({"odd": stumbles}) as (reward, server):
        [output] = await reward.ascore(samples("odd"))
        assert output.score == 2.0
        assert len(server.asked) == 3


async def test_429_waits_as_long_as_it_is_told_and_is_rejected_where_the_deadline_is_nearer() -> None:
    busy = Response("slow down", 429, headers={"retry-after": "0.05"})
    async with asked({"odd": [busy, 2.0]}) as (reward, server):
        assert (await reward.ascore(samples("odd")))[0].score == 2.0
        assert len(server.asked) == 2
    busy = Response("slow down", 429, headers={"retry-after": "3000"})
    async with asked({"odd": [busy, 2.0]}) as (reward, server):
        odd, next_one = await reward.ascore(samples("odd")) + await reward.ascore(samples("fine"))
        assert (kind(odd), "slow down" in message(odd)) == ("rejected", True)
        # Nobody else asks before that either.
        assert (kind(next_one), len(server.asked)) == ("rejected", 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_input"),
        (413, "invalid_input"),
        (422, "invalid_input"),
        (404, "unavailable"),
        (501, "unavailable"),
    ],
)
async def test_what_is_refused_for_good_is_not_asked_again(status: int, expected: str) -> None:
    async with asked({"odd": [Response("because", status)]}) as (reward, server):
        [output] = await reward.ascore(samples("odd"))
        assert (kind(output), "because" in message(output), len(server.asked)) == (expected, True, 1)


async def test_tries_end() -> None:
    async with asked({"odd": [Response(status_code=500)] * 2}, max_tries=2) as (reward, server):
        assert kind((await reward.ascore(samples("odd")))[0]) == "unavailable"
        assert len(server.asked) == 2


async def test_a_wrong_key_says_where_it_came_from_and_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    refused = Response("the key sk-secret is wrong", 401)
    async with asked({"odd": [refused]}, api_key_env="MY_KEY") as (reward, server):
        [output] = await reward.ascore(samples("odd"))
        assert kind(output) == "unavailable"
        assert "the environment's MY_KEY, which is not accepted there" in message(output)
        assert "sk-secret" not in message(output)
        assert server.asked[0]["key"] == "Bearer sk-secret"
    monkeypatch.delenv("MY_KEY")
    async with asked({"odd": [Response("who are you", 403)]}, api_key_env="MY_KEY") as (reward, server):
        assert "MY_KEY, which is not set" in message((await reward.ascore(samples("odd")))[0])
        assert server.asked[0]["key"] is None
    async with asked({"odd": [Response("who are you", 401)]}) as (reward, _):
        assert "api_key_env" in message((await reward.ascore(samples("odd")))[0])


async def test_a_service_that_is_slow_or_not_there_fails_its_samples_only() -> None:
    async with asked({"odd": ["hang"]}, timeout_s=0.5) as (reward, _):
        odd, fine = await reward.ascore(samples("odd", "fine"))
        assert (kind(odd), fine.score) == ("timeout", 1.0)
    gone = HostedRewardModel("m", base_url="http://127.0.0.1:9/v1", max_tries=1)
    assert kind((await gone.ascore(samples("a")))[0]) == "unavailable"


async def test_what_cannot_be_sent_is_an_invalid_input() -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "…"}}]}]
    async with asked() as (reward, server):
        outputs = await reward.ascore(
            [Sample([*picture, {"role": "assistant", "content": "a"}]), *samples("\ud800", "fine")]
        )
        assert [kind(output) for output in outputs] == ["invalid_input", "invalid_input", None]
        assert len(server.asked) == 1


async def test_the_limit_of_requests_a_minute_is_kept() -> None:
    async with asked(requests_per_minute=0.5) as (reward, server):
        first, second = await reward.ascore(samples("a", "b"))
        assert (first.score, kind(second), len(server.asked)) == (1.0, "rejected", 1)
        assert "requests a minute" in message(second)


def test_keys_are_no_part_of_the_version_and_weights_are() -> None:
    def model(**options: Any) -> HostedRewardModel:
        return HostedRewardModel("m", base_url="https://integrate.api.nvidia.com/v1", **options)

    assert model(api_key="a").version == model(api_key="b", max_concurrency=1, requests_per_minute=3).version
    assert model().version != model(weights={"helpfulness": 1.0}).version
    assert "secret" not in repr(model(api_key="secret"))


def test_providers_keys_are_looked_for_where_their_own_clients_do() -> None:
    found = {url: HostedRewardModel("m", base_url=url)._key.variable for url in (
        "https://integrate.api.nvidia.com/v1", "https://api.fireworks.ai/inference/v1", "https://api.openai.com/v1",
        "http://localhost:8000", "https://notnvidia.com",
    )}  # fmt: skip
    assert list(found.values()) == ["NVIDIA_API_KEY", "FIREWORKS_API_KEY", "OPENAI_API_KEY", None, None]


async def test_reward_function_makes_one_and_it_travels() -> None:
    async with asked() as (made, _):
        options = {"base_url": made.base_url, "weights": {"reward": 1.0}}
        reward = RewardFunction(model_id="tiny-reward", mode="hosted", **options)
        assert isinstance(reward, HostedRewardModel)
        assert reward.version == made.version
        travelled = pickle.loads(pickle.dumps(reward))
        assert [output.score for output in await travelled.ascore(samples("a"))] == [1.0]
        built_in = load_reward("hosted_reward_model", {"model_id": "tiny-reward", **options})
        assert (await built_in.ascore(samples("a")))[0].score == 1.0


def test_fireworks_hosted_is_the_same_with_its_address() -> None:
    reward = RewardFunction(model_id="fireworks/nemotron-340b-reward", mode="fireworks_hosted")
    assert isinstance(reward, HostedRewardModel)
    assert reward.base_url == "https://api.fireworks.ai/inference/v1"
    assert reward._key.variable == "FIREWORKS_API_KEY"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model_id": ""}, "model_id"),
        ({"base_url": None}, "base_url"),
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"api": "chat"}, "api='chat' is unknown"),
        ({"max_concurrency": 0}, "1 at least"),
        ({"timeout_s": 0.0}, "seconds above 0"),
        ({"mode": "remote"}, "fireworks_hosted"),
        ({"requests_per_minute": 0}, "more than 0"),
    ],
)
def test_mistakes_are_told_when_it_is_made(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        HostedRewardModel(**{"model_id": "m", "base_url": "http://localhost:8000", **options})


async def test_a_reply_that_is_too_long_is_not_read_to_its_end() -> None:
    async with asked({"a": [Response(b"[" * 5_000_000)]}) as (reward, _):
        [output] = await reward.ascore(samples("a"))
        assert kind(output) == "unavailable"
        assert "more than 4194304 bytes" in message(output)


async def test_a_reply_that_is_too_deep_is_unparseable() -> None:
    async with asked({"a": [Response(b"[" * 200_000)]}) as (reward, _):
        [output] = await reward.ascore(samples("a"))
        assert kind(output) == "unparseable"


async def test_a_key_that_cannot_be_sent_fails_each_sample_and_is_told_to_nobody() -> None:
    reward = HostedRewardModel("m", base_url="http://127.0.0.1:9/v1", api_key="hush hush")
    for output in await reward.ascore(samples("a", "b")):
        assert kind(output) == "unavailable"
        assert "hush" not in message(output)
