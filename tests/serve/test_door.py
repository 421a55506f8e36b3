from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from rayreward import RewardFunction
from rayreward.errors import UnknownRewardError
from rayreward.router.batching import BatchLimits
from rayreward.router.config import Limits, OpenRLHFPolicy
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.prescale import ReplicaRange
from rayreward.router.router import Router
from rayreward.serve.door import Door
from rayreward.testing import HANG, ManualClock, ScriptedReward, served
from rayreward.types import RewardOutput
from tests.router.stages import Stage, turns

SCRIPT = {
    "raise": ValueError("no"),
    "nan": math.nan,
    "text": "high",
    "none": None,
    "hang": HANG,
    "odd": {"score": 1.0, "metadata_key": object(), "nan": math.nan, "huge": 10**400, 1: {(1, 2): "\ud800"}},
    "quotes": RewardOutput(1.0, reason="it said \ud800"),
}


@pytest.fixture
async def service() -> AsyncIterator[served]:
    length = RewardFunction(func=lambda response: float(len(response)), isolation="inline")
    rewards = {"scripted": ScriptedReward(SCRIPT, timeout_s=0.05), "length": length}
    async with served(rewards, openrlhf=OpenRLHFPolicy(sibling_wait_s=0.01)) as service:
        yield service


def strict(answer: httpx.Response) -> Any:
    """The JSON of an answer, read by a reader that knows no NaN."""
    assert answer.headers["content-type"] == "application/json"
    return msgspec.json.decode(answer.content)


def kinds(answer: httpx.Response) -> list[str | None]:
    return [output["failure"] and output["failure"]["kind"] for output in strict(answer)["outputs"]]


class TestRoutes:
    @pytest.mark.parametrize("path", ["/v1/rewards/length", "/length", "/v1/rewards/length/"])
    async def test_native_requests_score_by_name(self, service: served, path: str) -> None:
        answer = await service.http.post(
            path, json={"samples": [{"response": "four"}, {"prompt": "q", "response": ""}]}
        )
        body = strict(answer)
        assert (answer.status_code, body["reward"]) == (200, "length")
        assert [output["score"] for output in body["outputs"]] == [4.0, 0.0]
        assert body["outputs"][0]["version"] == strict(await service.http.get("/v1/rewards/length"))["version"]

    @pytest.mark.parametrize("path", ["/v1/rewards", "/", ""])
    async def test_without_a_name_the_main_reward_scores(self, service: served, path: str) -> None:
        answer = await service.http.post(path, json={"samples": [{"response": "a"}]})
        assert strict(answer)["reward"] == "scripted"

    @pytest.mark.parametrize(
        ("path", "reward"), [("/get_reward", 1.0), ("/length/get_reward", 4.0), ("/length/get_reward/", 4.0)]
    )
    async def test_openrlhf_asks_by_name_or_without(self, service: served, path: str, reward: float) -> None:
        body = {"query": ["qfour"], "prompts": ["q"], "labels": [""]}
        answer = await service.http.post(path, json=body, params={"run": "ppo"})
        assert answer.json() == {"rewards": [reward], "scores": [reward], "extra_logs": {"reward_valid": [1.0]}}

    async def test_the_service_describes_itself(self, service: served) -> None:
        assert strict(await service.http.get("/health")) == {"status": "ok"}
        assert strict(await service.http.get("/ready")) == {"status": "ready", "starting": [], "starts": {}}
        listed = strict(await service.http.get("/v1/rewards"))["rewards"]
        assert [(one["name"], one["state"]) for one in listed] == [("scripted", "ready"), ("length", "ready")]
        document = strict(await service.http.get("/openapi.json"))
        assert document["paths"].keys() >= {"/get_reward", "/v1/rewards/{reward}", "/health"}

    async def test_a_reward_that_starts_makes_the_service_not_ready(self, service: served) -> None:
        service.router.lanes["length"].is_ready = False
        answer = await service.http.get("/ready")
        assert (answer.status_code, strict(answer)) == (
            503,
            {
                "status": "starting",
                "starting": ["length"],
                "starts": {"length": {"doing": "waiting for a replica", "for_s": 0.0}},
            },
        )

    async def test_a_reward_that_may_sleep_does_not(self, service: served) -> None:
        lane = service.router.lanes["length"]
        lane.is_ready, lane.can_sleep, lane.replica_count = False, True, 0
        assert strict(await service.http.get("/ready")) == {"status": "ready", "starting": [], "starts": {}}
        assert strict(await service.http.get("/v1/rewards/length"))["state"] == "idle"

    async def test_replicas_are_wished_for_within_what_the_reward_may_have(self) -> None:
        policy = LanePolicy(replicas=ReplicaRange(1, 4, fixed_by=None))
        async with served({"r": ScriptedReward()}, policy=policy) as service:
            path = "/v1/rewards/r/prescale"
            answer = strict(await service.http.post(path, json={"replicas": 9, "for_s": 60}))
            assert (answer["reward"], answer["asked"], answer["granted"], answer["for_s"]) == ("r", 9, 4, 60.0)
            assert strict(await service.http.get("/v1/rewards/r"))["extra"] == {"prescaled_replicas": 4}
            granted = await service.client.aprescale("r", 2, for_s=60.0)
            assert (granted.granted, granted.min_replicas, granted.max_replicas) == (2, 1, 4)
            for body in ({}, {"replicas": "many", "for_s": 60}, {"replicas": 2, "for_s": 60, "now": True}):
                refused = await service.http.post(path, json=body)
                assert (refused.status_code, strict(refused)["error"]) == (400, "InvalidInputError")
                assert "the body must be {'replicas': 4, 'for_s': 120}" in strict(refused)["message"]
            assert (await service.http.get(path)).status_code == 405

    async def test_nobody_wishes_for_replicas_of_a_fixed_number(self, service: served) -> None:
        refused = await service.http.post("/v1/rewards/length/prescale", json={"replicas": 2, "for_s": 60})
        assert refused.status_code == 400
        assert "has a fixed number of replicas" in strict(refused)["message"]
        with pytest.raises(UnknownRewardError):
            await service.client.aprescale("lenght", 2, for_s=60.0)

    @pytest.mark.parametrize(
        ("method", "path", "status", "error"),
        [
            ("GET", "/nowhere/at/all", 404, "not_found"),
            ("GET", "/get_reward", 405, "method_not_allowed"),
            ("PUT", "/v1/rewards", 405, "method_not_allowed"),
            ("DELETE", "/v1/rewards/length", 405, "method_not_allowed"),
            ("GET", "/v1/rewards/lenght", 404, "UnknownRewardError"),
            ("POST", "/v1/rewards/lenght", 404, "UnknownRewardError"),
            ("POST", "/lenght/get_reward", 404, "UnknownRewardError"),
            ("POST", "/lenght", 404, "UnknownRewardError"),
        ],
    )
    async def test_what_is_not_there_is_refused_in_json(
        self, service: served, method: str, path: str, status: int, error: str
    ) -> None:
        answer = await service.http.request(method, path, json={"samples": []} if method == "POST" else None)
        assert (answer.status_code, strict(answer)["error"]) == (status, error)
        if error == "UnknownRewardError":
            assert "did you mean 'length'? Known: length, scripted" in strict(answer)["message"]

    @pytest.mark.parametrize(
        ("sent", "accept", "answered"),
        [
            ("application/json", None, "application/json"),
            ("application/msgpack", None, "application/msgpack"),
            ("application/x-msgpack; q=1", "*/*", "application/msgpack"),
            ("application/msgpack", "application/json", "application/json"),
            ("application/json", "text/html, application/msgpack;q=0.9", "application/msgpack"),
        ],
    )
    async def test_bodies_are_json_or_msgpack(
        self, service: served, sent: str, accept: str | None, answered: str
    ) -> None:
        codecs = {"application/json": msgspec.json, "application/msgpack": msgspec.msgpack}
        codec = msgspec.msgpack if "msgpack" in sent else msgspec.json
        headers = {"Content-Type": sent, **({} if accept is None else {"Accept": accept})}
        content = codec.encode({"samples": [{"response": "four"}]})
        answer = await service.http.post("/length", content=content, headers=headers)
        assert answer.headers["content-type"] == answered
        assert codecs[answered].decode(answer.content)["outputs"][0]["score"] == 4.0

    async def test_a_refusal_is_json_whatever_was_sent(self, service: served) -> None:
        headers = {"Content-Type": "application/msgpack"}
        answer = await service.http.post("/length", content=b"\xc1", headers=headers)
        assert (answer.status_code, strict(answer)["error"]) == (400, "InvalidInputError")

    async def test_the_last_run_of_a_query_counts(self, service: served) -> None:
        body = {"query": ["qfour"], "prompts": ["q"], "labels": [""]}
        await service.http.post("/length/get_reward?run=a&run=my%20run", json=body)
        assert strict(await service.http.get("/v1/runs/my%20run"))["sample_count"] == 1


class TestBadInput:
    @pytest.mark.parametrize("path", ["/v1/rewards/length", "/length/get_reward"])
    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000,
            b'{"samples": 5, "query": 5}', b'{"samples": null, "query": null}', b'{"samples": [NaN], "query": [NaN]}',
        ],
    )  # fmt: skip
    async def test_a_malformed_body_is_a_400_that_says_why(self, service: served, path: str, body: bytes) -> None:
        answer = await service.http.post(path, content=body)
        assert (answer.status_code, strict(answer)["error"]) == (400, "InvalidInputError")
        assert strict(answer)["message"]

    async def test_lists_of_different_lengths_are_a_400(self, service: served) -> None:
        answer = await service.http.post(
            "/get_reward", json={"query": ["a", "b"], "prompts": ["q"], "labels": ["", ""]}
        )
        assert answer.status_code == 400
        assert "2 queries, found 1 values" in strict(answer)["message"]

    async def test_a_malformed_sample_fails_alone(self, service: served) -> None:
        samples = [{"response": "a"}, {"reponse": "b"}, 5, None, {"messages": []}, {"response": "c"}]
        answer = await service.http.post("/length", json={"samples": samples})
        assert kinds(answer) == [None, "invalid_input", "invalid_input", "invalid_input", None, None]

    async def test_lone_surrogates_fail_alone_and_nul_is_scored(self, service: served) -> None:
        body = b'{"samples": [{"response": "\\ud800"}, {"response": "a\\u0000b"}]}'
        answer = await service.http.post("/length", content=body)
        assert kinds(answer) == ["invalid_input", None]
        assert strict(answer)["outputs"][1]["score"] == 3.0
        body = b'{"query": ["\\ud800", "qa"], "prompts": ["", "q"], "labels": ["", ""]}'
        answer = await service.http.post("/length/get_reward", content=body)
        assert answer.json()["rewards"] == [1.0, 1.0]

    @pytest.mark.parametrize("count", [0, 1, 4096])
    async def test_any_number_of_samples_is_answered(self, service: served, count: int) -> None:
        texts = ["x" * (position % 5) for position in range(count)]
        native = await service.http.post("/length", json={"samples": [{"response": text} for text in texts]})
        assert [output["score"] for output in strict(native)["outputs"]] == [float(len(text)) for text in texts]
        asked = {"query": texts, "prompts": [""] * count, "labels": [""] * count}
        answer = (await service.http.post("/length/get_reward", json=asked)).json()
        assert answer["rewards"] == answer["scores"] == [float(len(text)) for text in texts]

    async def test_a_text_of_a_megabyte_is_scored(self, service: served) -> None:
        text = "\N{MINUS SIGN}" * 1_000_000
        answer = await service.http.post("/length", json={"samples": [{"prompt": text, "response": text}]})
        assert strict(answer)["outputs"][0]["score"] == 1_000_000.0


class TestFailuresAreData:
    async def test_a_reward_that_misbehaves_fails_its_samples_and_the_batch_answers_200(self, service: served) -> None:
        responses = ["a", "raise", "nan", "text", "none", "hang", "b"]
        answer = await service.http.post("/scripted", json={"samples": [{"response": text} for text in responses]})
        assert answer.status_code == 200
        assert kinds(answer) == [None, "error", "invalid_output", "invalid_output", "abstained", "timeout", None]
        assert b"NaN" not in answer.content

    async def test_odd_metadata_never_stops_an_answer(self, service: served) -> None:
        samples = [{"response": "odd"}, {"response": "quotes"}, {"response": "a"}]
        answer = await service.http.post("/scripted", json={"samples": samples})
        assert [output["score"] for output in strict(answer)["outputs"]] == [1.0] * 3
        assert strict(answer)["outputs"][0]["metadata"]["nan"] is None
        assert b"NaN" not in answer.content

    async def test_openrlhf_is_answered_a_finite_number_for_each(self, service: served) -> None:
        queries = [f"q{text}" for text in ("a", "raise", "nan", "text", "none", "hang")]
        asked = {"query": queries, "prompts": ["q"] * 6, "labels": [""] * 6}
        answer = await service.http.post("/get_reward", json=asked)
        assert answer.status_code == 200
        assert strict(answer)["rewards"] == strict(answer)["scores"] == [1.0] * 6

    async def test_nan_is_answered_on_openrlhfs_drop_only(self) -> None:
        policy = OpenRLHFPolicy(on_failure="drop", sibling_wait_s=0.0)
        async with served({"scripted": ScriptedReward(SCRIPT)}, openrlhf=policy) as service:
            asked = {"query": ["qraise"], "prompts": ["q"], "labels": [""]}
            answer = await service.http.post("/get_reward", json=asked)
            assert answer.content == b'{"rewards": [0.0], "scores": [NaN], "extra_logs": {"reward_valid": [0.0]}}'
            native = await service.http.post("/scripted", json={"samples": [{"response": "raise"}]})
            assert strict(native)["outputs"][0]["score"] is None

    async def test_a_callers_deadline_is_kept(self) -> None:
        async with served({"scripted": ScriptedReward(SCRIPT)}) as service:
            body = {"samples": [{"response": "hang"}], "timeout_s": 0.01}
            assert kinds(await service.http.post("/scripted", json=body)) == ["timeout"]

    async def test_a_bug_of_our_own_is_answered_in_json_too(
        self, service: served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(service.router, "describe", broken)
        answer = await service.http.get("/v1/rewards")
        assert (answer.status_code, strict(answer)["error"]) == (500, "InternalError")
        assert "ZeroDivisionError" in caplog.text


class TestToken:
    @pytest.mark.parametrize(
        "header", [None, "Bearer wrong", "Bearer ", "secret", "Basic secret", "Bearer secret ", "Bearer sécret"]
    )
    async def test_without_the_right_one_nothing_is_scored_or_listed(self, header: str | None) -> None:
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            headers = {} if header is None else {b"Authorization": header.encode()}
            for path in (
                "/v1/rewards",
                "/v1/rewards/scripted",
                "/get_reward",
                "/scripted/get_reward",
                "/",
                "/scripted",
            ):
                answer = await service.http.post(path, json={"samples": []}, headers=headers)
                assert (answer.status_code, strict(answer)["error"]) == (401, "AuthenticationError")
            assert (await service.http.get("/v1/rewards", headers=headers)).status_code == 401

    async def test_with_it_all_is_answered(self) -> None:
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            for header in ("Bearer secret", "bearer secret"):
                answer = await service.http.post("/", json={"samples": []}, headers={"Authorization": header})
                assert answer.status_code == 200

    async def test_load_balancers_need_none(self) -> None:
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            for path in ("/health", "/ready", "/openapi.json", "/health/"):
                assert (await service.http.get(path)).status_code == 200


class TestLimits:
    @pytest.fixture
    async def small(self) -> AsyncIterator[served]:
        limits = Limits(max_request_bytes=1024, max_request_samples=2)
        async with served({"scripted": ScriptedReward()}, limits=limits) as service:
            yield service

    async def test_a_large_body_is_refused_by_what_it_declares(self, small: served) -> None:
        answer = await small.http.post("/", content=b"x" * 2000)
        assert (answer.status_code, strict(answer)["error"]) == (413, "RequestTooLargeError")
        assert "1024 bytes, found 2000" in strict(answer)["message"]

    @pytest.mark.parametrize("declared", [None, "\N{SUPERSCRIPT TWO}", "many", "-1"])
    async def test_and_by_what_it_holds_where_it_declares_nothing_true(
        self, small: served, declared: str | None
    ) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 500

        headers = {} if declared is None else {b"Content-Length": declared.encode("latin-1")}
        answer = await small.http.post("/", content=endless(), headers=headers)
        assert answer.status_code == 413

    async def test_too_many_samples_are_refused(self, small: served) -> None:
        for path, body in (
            ("/", {"samples": [{"response": "a"}] * 3}),
            ("/get_reward", {"query": ["a"] * 3}),
        ):
            answer = await small.http.post(path, json=body)
            assert answer.status_code == 413
            assert "2 samples, found 3" in strict(answer)["message"]


class TestBehindAProxy:
    async def test_a_prefix_is_no_part_of_the_path(self) -> None:
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            transport = httpx.ASGITransport(service.door, root_path="/rewards")
            async with httpx.AsyncClient(base_url="http://h/rewards", transport=transport) as http:
                assert (await http.get("/health")).status_code == 200
                assert (await http.post("/scripted", json={"samples": []})).status_code == 401
                headers = {"Authorization": "Bearer secret"}
                answer = await http.post("/scripted", json={"samples": [{"response": "a"}]}, headers=headers)
                assert strict(answer)["outputs"][0]["score"] == 1.0


async def test_a_caller_that_hangs_up_while_it_sends_is_forgotten(service: served) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/scripted", "headers": [], "query_string": b""}
    await service.door(scope, receive, send)
    assert sent[0]["status"] == 499
    assert isinstance(service.door, Door)


async def test_requests_of_many_callers_travel_together(service: served) -> None:
    async def ask(size: int) -> Any:
        body = {"query": ["x" * size], "prompts": [""], "labels": [""]}
        return (await service.http.post("/length/get_reward", json=body)).json()["rewards"]

    assert await asyncio.gather(*(ask(size) for size in range(64))) == [[float(size)] for size in range(64)]
    assert service.router.lanes["length"].coalescer.stats.batch_count < 64


class TestPriorities:
    @pytest.fixture
    async def stage(self) -> Stage:
        return Stage(is_held=True)

    @pytest.fixture
    async def http(self, stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
        lane = open_lane(stage, slot_count=1, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
        lane.learn(RewardFacts("v"))
        router = Router({"r": lane}, main_reward="r", now=ManualClock())
        door = Door(router, OpenRLHFRoute(router, OpenRLHFPolicy()), Limits())
        async with httpx.AsyncClient(base_url="http://h", transport=httpx.ASGITransport(door)) as http:
            yield http

    async def test_trainings_go_before_evaluations_and_those_before_batches(
        self, stage: Stage, http: httpx.AsyncClient
    ) -> None:
        def native(response: str, **more: str) -> Any:
            return http.post("/v1/rewards/r", json={"samples": [{"response": response}], **more})

        def openrlhf(response: str, **query: str) -> Any:
            return http.post("/get_reward", json={"query": [response], "prompts": [""]}, params=query)

        calls = [asyncio.create_task(native("first"))]
        await turns(20)
        calls += [
            asyncio.create_task(asked)
            for asked in (
                native("batch", priority="batch"), openrlhf("eval", priority="eval"), native("train"),
                openrlhf("trainer"), native("an eval", priority="eval"),
            )
        ]  # fmt: skip
        await turns(20)
        stage.release()
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
        assert stage.asked == [["first"], ["train"], ["trainer"], ["eval"], ["an eval"], ["batch"]]

    @pytest.mark.parametrize("samples", [[], [{"response": "a"}]])
    async def test_an_unknown_one_is_refused_with_the_nearest(
        self, stage: Stage, http: httpx.AsyncClient, samples: list[Any]
    ) -> None:
        answer = await http.post("/v1/rewards/r", json={"samples": samples, "priority": "evla"})
        assert answer.status_code == 400
        assert "no priority 'evla'; did you mean 'eval'? Known: batch, eval, train" in strict(answer)["message"]
        assert stage.asked == []

    async def test_in_openrlhfs_url_it_is_named_in_the_log_once_and_the_training_goes_on(
        self, stage: Stage, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.release()
        for _ in range(2):
            answer = await http.post("/get_reward", json={"query": ["ab"]}, params={"priority": "evla"})
            assert answer.json()["rewards"] == [2.0]
        assert caplog.text.count("no priority 'evla'; did you mean 'eval'") == 1
        assert "served as 'train'" in caplog.text


def test_the_document_describes_what_the_door_takes() -> None:
    from rayreward.serve.openapi import openapi_document

    document = json.loads(json.dumps(openapi_document(["length"])))
    schemas = document["components"]["schemas"]
    assert schemas["TypedScoreBody"]["required"] == ["samples"]
    assert schemas["TypedScoreBody"]["properties"]["priority"] == {
        "enum": ["batch", "eval", "train"],
        "default": "train",
    }
    assert schemas["SampleBody"]["additionalProperties"] is False
    reward = document["paths"]["/v1/rewards/{reward}"]["parameters"][0]
    assert reward["schema"] == {"enum": ["length"]}
    assert schemas["RestBody"]["required"] == ["tickets"]
    assert schemas["PrescaleBody"]["required"] == ["replicas", "for_s"]
    assert "granted" in schemas["Prescaled"]["properties"]


async def test_long_paths_of_strangers_are_not_remembered() -> None:
    length = RewardFunction(func=lambda response: float(len(response)), isolation="inline")
    async with served({"length": length}) as service:
        for size in (10, 10_000):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service.door), base_url="http://h") as http:
                assert (await http.get(f"/{'x' * size}")).status_code in (404, 405)
        assert service.door._handler_of.cache_info().currsize == 1
