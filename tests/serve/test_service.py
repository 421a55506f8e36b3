from __future__ import annotations

import asyncio

import httpx
import pytest
import ray
from ray import serve

from rayreward import HandleClient, HttpClient, RewardFunction, reward_function
from rayreward.errors import ConfigError, ServiceUnavailableError
from rayreward.serve.cluster import EmbeddedCluster, check_port
from tests import victims

pytestmark = pytest.mark.ray


def kinds(outputs):
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def test_every_misbehaving_sample_fails_alone_and_the_others_keep_their_scores(client: HttpClient) -> None:
    responses = ["1", "raise", "nan", "2", "text", "hang", "3", "die", "4"]
    outputs = client.score([{"response": one} for one in responses], reward="echo")
    assert kinds(outputs) == [
        1.0, "error", "invalid_output", 2.0, "invalid_output", "timeout", 3.0, "crashed", 4.0,
    ]  # fmt: skip
    assert all(output.version and output.timings for output in outputs)


def test_the_service_still_answers_after_all_that(client: HttpClient) -> None:
    assert client.score([{"response": "0.25"}], reward="echo")[0].score == 0.25


def test_a_batch_reward_that_raises_for_one_sample_scores_the_others(client: HttpClient) -> None:
    outputs = client.score([{"response": one} for one in ("1", "2", "raise", "4")], reward="batched")
    assert kinds(outputs) == [1.0, 2.0, "error", 4.0]


def test_a_batch_reward_with_too_few_outputs_fails_the_sample_that_made_it_so_and_says_so(client: HttpClient) -> None:
    outputs = client.score([{"response": one} for one in ("1", "few")], reward="batched")
    assert kinds(outputs) == [1.0, "invalid_output"]
    assert "asked for 1, found 0" in outputs[1].failure.message


def test_4096_samples_come_back_in_order(client: HttpClient) -> None:
    outputs = client.score([{"response": str(number)} for number in range(4096)], reward="batched")
    assert [output.score for output in outputs] == [float(number) for number in range(4096)]


def test_openrlhf_is_answered_a_finite_number_whatever_the_reward_does(service: str) -> None:
    body = {"query": ["q 1", "q raise", "q 3"], "prompts": ["q "] * 3, "labels": ["", "", ""]}
    answer = httpx.post(f"{service}/echo/get_reward", json=body, timeout=60).json()
    assert answer == {"rewards": [1.0, 2.0, 3.0], "scores": [1.0, 2.0, 3.0], "extra_logs": {}}


def test_an_empty_request_of_older_openrlhf_gets_empty_lists(service: str) -> None:
    answer = httpx.post(f"{service}/get_reward", json={"query": [], "prompts": [], "labels": []})
    assert answer.json() == {"rewards": [], "scores": [], "extra_logs": {}}


def test_ready_lists_nothing_as_starting_and_rewards_carry_versions(service: str, client: HttpClient) -> None:
    client.score([{"response": "1"}], reward="slow")
    assert httpx.get(f"{service}/health").status_code == 200
    assert {info.name for info in client.rewards()} == {"echo", "batched", "final_answer", "slow"}
    assert "/v1/rewards/{reward}" in httpx.get(f"{service}/openapi.json").json()["paths"]


def test_an_unknown_reward_is_404_and_the_known_ones_are_named(service: str) -> None:
    answer = httpx.post(f"{service}/v1/rewards/ecko", json={"samples": []})
    assert answer.status_code == 404
    assert "did you mean 'echo'?" in answer.json()["message"]


async def test_256_single_sample_requests_travel_in_few_calls(service: str) -> None:
    async with HttpClient(service) as client:
        outputs = await asyncio.gather(
            *(client.ascore([{"response": str(number)}], reward="batched") for number in range(256))
        )
    assert [output.score for [output] in outputs] == [float(number) for number in range(256)]
    assert max(output.timings.batch_samples for [output] in outputs) > 1


async def test_256_concurrent_handle_scorings_make_at_most_eight_router_calls(service: str) -> None:
    client = HandleClient()
    outputs = await asyncio.gather(
        *(client.ascore([{"response": str(number)}], reward="batched") for number in range(256))
    )
    assert [output.score for [output] in outputs] == [float(number) for number in range(256)]
    [lane] = [lane for lanes in client._lanes.values() for lane in lanes.values()]
    assert lane.stats.batch_count <= 8
    await client.aclose()


def test_a_ray_task_scores_through_the_handle(service: str) -> None:
    @ray.remote(num_cpus=0)
    def score() -> list[float | None]:
        from rayreward import HandleClient

        return [output.score for output in HandleClient().score([{"response": "7"}], reward="echo")]

    assert ray.get(score.remote()) == [7.0]


async def test_a_killed_replica_costs_no_sample(service: str) -> None:
    async with HttpClient(service) as client:
        scoring = [asyncio.ensure_future(client.ascore([{"response": str(n)}], reward="slow")) for n in range(40)]
        await asyncio.wait(scoring, return_when=asyncio.FIRST_COMPLETED)
        victims.replicas("slow")[0].kill()
        outputs = await asyncio.gather(*scoring)
    assert [output.score for [output] in outputs] == [float(number) for number in range(40)]


def test_a_function_typed_here_deploys_scores_and_is_reached_by_its_url(cluster: EmbeddedCluster) -> None:
    @reward_function
    def typed_here(messages, label=None, bonus=0.0, **kwargs):
        return float(messages[-1].content == label) + bonus

    deployed = typed_here.deploy(name="typed-here", num_replicas=1, bonus=0.5)
    try:
        chat = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
        assert deployed(messages=chat, label="4").score == 1.5
        remote = RewardFunction(endpoint=deployed.url, mode="remote")
        score, components = remote(messages=chat, original_messages=chat[:1], label="5")
        assert (score, dict(components)) == (0.5, {})
        body = {"query": ["2 + 2? 4"], "prompts": ["2 + 2? "], "labels": ["4"]}
        assert httpx.post(f"{deployed.url}/get_reward", json=body).json()["rewards"] == [1.5]
    finally:
        deployed.delete()


def test_a_reward_that_cannot_load_is_refused_before_anything_starts(cluster: EmbeddedCluster) -> None:
    from rayreward.serve import build

    with pytest.raises(ConfigError, match="no such file"):
        build({"rewards": [{"name": "lost", "import_path": "nowhere.py::lost"}]})
    with pytest.raises(ConfigError, match="did you mean 'import_path'"):
        build({"rewards": [{"name": "typo", "imprt_path": "nowhere.py::lost"}]})


def test_a_handle_to_an_application_that_is_not_there_says_how_to_start_it(service: str) -> None:
    with pytest.raises(ServiceUnavailableError, match="serve run deployments/"):
        HandleClient(app="nobody")


def test_a_taken_port_is_refused(service: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        check_port("127.0.0.1", int(service.rsplit(":", 1)[1]))


def test_the_router_needs_no_cpu_of_its_own(service: str) -> None:
    deployments = serve.status().applications["rewards"].deployments
    assert set(deployments) == {"router", "echo", "batched", "final_answer", "slow"}
