from __future__ import annotations

import cloudpickle
import pytest

from rayreward import LocalClient, RewardOutput, Sample
from rayreward.errors import AuthenticationError, ConfigError, UnknownRewardError
from rayreward.testing import EXIT, HANG, ManualClock, ScriptedReward, served


def kinds(outputs: list[RewardOutput]) -> list[str | None]:
    return [output.failure.kind.value if output.failure else None for output in outputs]


def test_a_clock_stands_still_until_it_is_told() -> None:
    clock = ManualClock(10.0)
    assert clock() == clock() == 10.0
    clock.advance(0.5)
    assert clock() == 10.5


class TestScriptedReward:
    def test_answers_raises_and_abstains_by_the_response(self) -> None:
        reward = ScriptedReward({"low": 0.25, "bad": ValueError("no"), "none": None, "nan": float("nan")}, default=0.5)
        outputs = reward.score([Sample(response=text) for text in ("low", "bad", "none", "nan", "other")])
        assert [output.score for output in outputs] == [0.25, None, None, None, 0.5]
        assert kinds(outputs) == [None, "error", "abstained", "invalid_output", None]
        assert reward.scored == ["low", "bad", "none", "nan", "other"]

    def test_hangs_until_its_deadline(self) -> None:
        assert kinds(ScriptedReward(default=HANG, timeout_s=0.01).score([Sample(response="a")])) == ["timeout"]

    def test_in_a_process_it_is_killed_and_may_end_itself(self) -> None:
        reward = ScriptedReward({"hang": HANG, "exit": EXIT}, isolation="process", timeout_s=1.0)
        with LocalClient({"scripted": reward}) as client:
            assert kinds(client.score([{"response": "hang"}, {"response": "exit"}, {"response": "a"}])) == [
                "timeout",
                "crashed",
                None,
            ]

    def test_does_not_end_the_process_of_its_tests(self) -> None:
        with pytest.raises(ConfigError, match="isolation='process'"):
            ScriptedReward({"a": EXIT})

    def test_is_a_reward_like_others(self) -> None:
        reward = ScriptedReward({"a": 0.5})
        version = reward.version
        assert reward(response="a").score == 0.5
        assert reward.version == version != ScriptedReward({"a": 1.0}).version
        assert cloudpickle.loads(cloudpickle.dumps(reward))(response="a").score == 0.5


class TestServed:
    def test_serves_rewards_and_functions_to_sync_code(self) -> None:
        def brevity(response: str) -> float:
            """Short is good."""
            return 1.0 if len(response) < 5 else 0.0

        with served({"scripted": ScriptedReward(default=0.5), "brevity": brevity}) as service:
            assert service.client.score([{"response": "a"}])[0].score == 0.5
            assert service.client.score([{"response": "long text"}], reward="brevity")[0].score == 0.0
            infos = {info.name: info for info in service.client.rewards()}
            assert (infos["brevity"].state, infos["brevity"].description) == ("ready", "Short is good.")
            with pytest.raises(UnknownRewardError):
                service.client.score([{"response": "a"}], reward="breivty")

    async def test_serves_async_code_and_raw_requests(self) -> None:
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            assert (await service.client.ascore([{"response": "a"}]))[0].score == 1.0
            assert (await service.http.post("/", json={"samples": []})).status_code == 401
            assert service.router.is_ready

    async def test_without_a_token_its_client_sends_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAYREWARD_TOKEN", "of the environment")
        async with served({"scripted": ScriptedReward()}, token="secret") as service:
            assert (await service.client.ascore([{"response": "a"}]))[0].score == 1.0
        async with served({"scripted": ScriptedReward()}) as service:
            assert (await service.client.ascore([{"response": "a"}]))[0].score == 1.0

    async def test_its_time_may_be_a_tests_own(self) -> None:
        clock = ManualClock()
        async with served({"scripted": ScriptedReward()}, now=clock) as service:
            [output] = await service.client.ascore([{"response": "a"}])
            assert output.timings is not None
            assert output.timings.scored_s == 0.0

    def test_refuses_as_the_real_one_does(self) -> None:
        with served({"scripted": ScriptedReward()}, token="secret") as service:
            service.client._token = "wrong"
            with pytest.raises(AuthenticationError):
                service.client.score([{"response": "a"}])
