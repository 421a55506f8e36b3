"""One thing is wrong at a time, and preflight names it with its remedy before anything starts."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rayreward.errors import ConfigError
from tests.jobs.preflight.world import REWARD, FakeNode, World, running

Break = Callable[[World], None]


def keys(section: str, **values: Any) -> Break:
    """A spec with other keys in one section."""
    return lambda world: world.set(section, **values)


def both(*breaks: Break) -> Break:
    def break_all(world: World) -> None:
        for one in breaks:
            one(world)

    return break_all


def prompts(*rows: Any) -> Break:
    return lambda world: world.write_prompts([*rows])


def model(**config: Any) -> Break:
    return lambda world: world.write_model(config)


def without(name: str) -> Break:
    return lambda world: (world.model / name).unlink()


def versions(**found: str | None) -> Break:
    def install(world: World) -> None:
        merged = {**world.versions, **found}
        world.versions = {name: version for name, version in merged.items() if version is not None}

    return install


def env(name: str, value: str) -> Break:
    return lambda world: world.sections.update(env_vars={name: value})


def raw(**flags: Any) -> Break:
    return lambda world: world.sections.update(extra_args={name.replace("__", "."): flags[name] for name in flags})


def nodes(*listed: FakeNode) -> Break:
    return lambda world: setattr(world, "nodes", [*listed])


def answers(body: Any, status: int = 200) -> Break:
    return lambda world: setattr(world, "answer", lambda _: httpx.Response(status, json=body))


def by_handle(**applications: Any) -> Break:
    """Scored through Ray, by the applications of the cluster."""

    def serve(world: World) -> None:
        world.sections["reward"] = {"name": "tidy"}
        world.applications = applications

    return serve


def unreachable(world: World) -> None:
    def refuse(_: Any) -> httpx.Response:
        raise httpx.ConnectError("refused")

    world.answer = refuse


def silent(world: World) -> None:
    def wait(_: Any) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    world.answer = wait


def failing(body: dict[str, Any]) -> httpx.Response:
    """A router whose reward raises: a stand-in for OpenRLHF, the reason on the native route."""
    if "samples" in body:
        failure = {"kind": "error", "message": "KeyError: 'answer'"}
        return httpx.Response(200, json={"reward": "tidy", "outputs": [{"score": None, "failure": failure}]})
    return httpx.Response(200, json={"rewards": [0.0], "scores": [0.0], "extra_logs": {"reward_valid": [0.0]}})


def uneven(body: dict[str, Any]) -> httpx.Response:
    logs = {"length": 3.0} if "I do not know" in body["query"][0] else {}
    return httpx.Response(200, json={"rewards": [0.5], "extra_logs": logs})


def no_checkpoint(world: World) -> None:
    (world.out / "checkpoints" / "_actor").mkdir(parents=True)
    world.set("checkpoint", resume=True)


def file_in_the_way(world: World) -> None:
    (world.folder / "file").touch()
    world.set("checkpoint", output_dir=str(world.folder / "file" / "out"))


def agent(environment: str) -> Break:
    def write(world: World) -> None:
        (world.folder / "game.py").write_text("class Game: ...\n")
        world.sections |= {"reward": {"name": "tidy"}, "agent": {"environment": environment.format(world.folder)}}

    return write


TWO_NODES = nodes(FakeNode("10.0.0.1", {"CPU": 8.0}, has_proxy=True), FakeNode("10.0.0.2", {"CPU": 16.0, "GPU": 8.0}))

MISTAKES: dict[str, tuple[Break, str]] = {
    # versions
    "no OpenRLHF": (versions(openrlhf=None), r"openrlhf is not installed; pip install openrlhf==0\.11\.2"),
    "an OpenRLHF that nobody knows": (versions(openrlhf="0.7.2"), r"0\.7\.2 is not supported.*pip install"),
    "an OpenRLHF without executors": (
        both(versions(openrlhf="0.9.0"), by_handle(rewards=running("tidy", "router"))),
        r"0\.9\.0 cannot load the executor that transport handle needs; .*set reward\.transport to http",
    ),
    "another OpenRLHF on a CPU": (
        both(versions(openrlhf="0.10.2"), lambda world: world.sections.update(platform="cpu")),
        r"0\.10\.2 cannot be fitted to a CPU; pip install openrlhf==0\.11\.2",
    ),
    "nothing that generates": (versions(vllm=None), r"vllm is not installed.*; pip install vllm"),
    "a protobuf that Serve cannot use": (
        versions(protobuf="7.36.2"),
        r"protobuf 7\.36\.2 every deployment.*protobuf<7",
    ),
    "a cluster of another Ray": (
        lambda world: setattr(world, "ray_version", "2.60.0"),
        r"cluster runs Ray 2\.60\.0, and Ray 2\.55\.0 is installed here; pip install ray==2\.60\.0",
    ),
    # batches
    "one sample for an estimator of groups": (
        keys("rollout", n_samples_per_prompt=1),
        r"group_norm compares the samples of a prompt, and there is one; set rollout\.n_samples_per_prompt to 2",
    ),
    "one sample for dynamic filtering": (
        both(keys("rollout", n_samples_per_prompt=1), keys("algorithm", estimator="gae", dynamic_filtering=True)),
        r"dynamic_filtering asks whether.*; set rollout\.n_samples_per_prompt to 2",
    ),
    "fewer sample batches than actors": (
        both(keys("rollout", micro_batch_size=8), keys("resources", actor={"gpus_per_node": 2})),
        r"8 samples of a step make 1 micro batches of 8 for 2 actors; set rollout\.micro_batch_size to 4",
    ),
    "unequal shares": (
        both(
            keys("rollout", batch_size=6, micro_batch_size=4),
            keys("resources", actor={"gpus_per_node": 2}),
            keys("data", max_samples=6),
        ),
        r"12 samples of a step in micro batches of 4 are no equal shares for 2 actors; .*micro_batch_size to 3",
    ),
    "an optimizer batch larger than a step": (
        keys("train", batch_size=16),
        r"train\.batch_size 16 is more than the 8 samples of a step; .*leave train\.batch_size out",
    ),
    "an optimizer batch that does not divide": (
        keys("train", batch_size=6, micro_batch_size=4),
        r"train\.batch_size 6 is no multiple.*; set train\.micro_batch_size to 3",
    ),
    "no room for a prompt": (
        keys("rollout", max_new_tokens=2048),
        r"leaves no room for a prompt.*; raise data\.max_len",
    ),
    "fewer prompts than one optimizer step": (
        keys("data", max_samples=2),
        r"2 prompts make 4 samples, and the first optimizer step takes 8; .*smaller rollout\.batch_size",
    ),
    "a last step that does not reach every actor": (
        both(
            keys("rollout", batch_size=7, n_samples_per_prompt=2, micro_batch_size=7),
            keys("resources", actor={"gpus_per_node": 2}),
            keys("train", batch_size=14),
        ),
        r"the last step of 8 prompts, which has 1, make 1 micro batches.*; set data\.max_samples to 7",
    ),
    "raw flags that need async": (
        raw(rollout__vllm_generate_batch_size=64),
        r"vllm_generate_batch_size 64 is more than the 4 prompts of a step; set train\.async_rollout to true",
    ),
    "probabilities for other sources": (raw(data__prompt_probs="0.5,0.5"), r"does not fit the 1 sources.*; write one"),
    # placement
    "engines and actor of different size on the same GPUs": (
        keys("resources", colocate="all", vllm={"engines": 2}),
        r"engines \(2 GPUs\) and actor \(1\) share GPUs but differ in number; let resources\.vllm",
    ),
    "a reference of another shape on the same GPUs": (
        both(keys("resources", colocate="actor_ref", reference={"nodes": 2}), keys("algorithm", kl_coef=0.1)),
        r"differ in shape; leave resources\.reference out",
    ),
    "sleeping where nobody shares": (keys("resources", vllm={"sleep": True}), r"vllm\.sleep frees.*; set it to false"),
    "more GPUs than the cluster has": (
        keys("resources", vllm={"engines": 8}),
        r"the plan takes 9 GPUs, and 4 are in the whole cluster; plan for fewer under resources",
    ),
    "GPUs that somebody else uses": (
        nodes(FakeNode("10.0.0.1", {"CPU": 16.0, "GPU": 4.0}, used={"GPU": 3.0})),
        r"the plan takes 2 GPUs, and 1 are free; wait for what uses them",
    ),
    "GPUs on a node without CPUs": (
        nodes(FakeNode("10.0.0.1", {"CPU": 64.0}), FakeNode("10.0.0.2", {"CPU": 1.0, "GPU": 8.0})),
        r"2 GPUs with a CPU on the same node, and 1 such pairs are in the whole cluster; plan for fewer",
    ),
    # model and templates
    "no model": (
        without("config.json"),
        r"has no config\.json; model\.path must name a folder that every node can read",
    ),
    "a model without weights": (without("model.safetensors"), r"has no weights; copy or download the folder again"),
    "a model without tokenizer": (without("tokenizer_config.json"), r"has no tokenizer; save the tokenizer"),
    "a pointer in place of weights": (
        lambda world: (world.model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1"),
        r"pointer of Git LFS instead of weights; git lfs pull",
    ),
    "a longer text than the model can place": (
        model(max_position_embeddings=1024),
        r"data\.max_len 2048 is more than the 1024 positions.*; set data\.max_len to 1024 or less",
    ),
    "heads that cannot be dealt out": (
        both(model(num_attention_heads=14), keys("resources", vllm={"tensor_parallel": 3})),
        r"14 attention heads.*cannot be dealt out to 3 GPUs; .*one of 1, 2, 7, 14",
    ),
    "no chat template": (
        lambda world: (world.model / "tokenizer_config.json").write_text("{}"),
        r"has no chat template; set it to false with a data\.input_template",
    ),
    "a template that cannot be filled": (
        keys("data", apply_chat_template=False, input_template="{question} {}"),
        r"cannot be filled: KeyError 'question'; write braces that are meant as such twice",
    ),
    # prompts
    "no prompts": (lambda world: world.prompts.unlink(), r"prompts\.jsonl does not exist; data\.prompts must name"),
    "an empty file": (prompts(), r"prompts\.jsonl is empty; one JSON object a line"),
    "a broken line": (
        lambda world: world.prompts.write_text('{"input": "a", "label": "1"}\n{"input": \n'),
        r"row 2 cannot be read: .*; mend the file: one JSON object a line",
    ),
    "another input key": (
        prompts({"prompt": "a", "label": "1"}),
        r"row 1: no 'input', which data\.input_key asks for; .*Kn",
    ),
    "a row without label": (
        prompts({"input": "a", "label": "1"}, {"input": "b", "lable": "2"}),
        r"row 2: no 'label', which data\.label_key asks for; .*did you mean 'lable'",
    ),
    "messages without a chat template": (
        both(
            prompts({"input": [{"role": "user", "content": "a"}], "label": "1"}),
            keys("data", apply_chat_template=False),
        ),
        r"'input' is a list of messages; set data\.apply_chat_template to true",
    ),
    "a split that a file does not have": (
        keys("data", split="test"),
        r"data\.split is 'test'.*; leave data\.split out",
    ),
    "a file of no known kind": (
        lambda world: world.set("data", prompts=str(world.prompts.rename(world.folder / "prompts.txt"))),
        r"no kind of file that prompts are read from; convert it to one of \.jsonl",
    ),
    # reward
    "an unhealthy reward": (
        lambda world: setattr(world, "health", httpx.Response(503, text="loading")),
        r"http://reward:8000/health answers 503: loading; wait until the reward is ready",
    ),
    "no reward": (unreachable, r"cannot be reached: ConnectError refused; start it \(rayreward serve\)"),
    "a reward that does not answer in time": (silent, r"gave no answer in time: ReadTimeout.*; start it"),
    "a reward of another name": (
        answers({"error": "UnknownRewardError", "message": "no reward 'tidy' is served; did you mean 'tidier'?"}, 404),
        r"status 404: .*did you mean 'tidier'.*; OpenRLHF needs 200",
    ),
    "a reward that answers in another form": (
        answers({"score": 1}),
        r"no JSON object that holds 'rewards'.*; OpenRLHF",
    ),
    "a reward that is no number": (answers({"rewards": [None]}), r"not one finite number; OpenRLHF needs 200"),
    "a reward out of all bounds": (answers({"rewards": [1e9]}), r"scored a sample with 1e\+09; scale it"),
    "a reward that fails on every prompt": (
        lambda world: setattr(world, "answer", failing),
        r"scored none of 5 real prompts: error: KeyError: 'answer'; see the reward's log",
    ),
    "logs with other keys for other samples": (
        lambda world: setattr(world, "answer", uneven),
        r"has length in the extra_logs of some answers.*; .*give every answer the same keys",
    ),
    "a URL that means another machine on each node": (
        both(TWO_NODES, keys("reward", url="http://127.0.0.1:8000/get_reward")),
        r"means another machine on each node, and 10\.0\.0\.2 would ask there in vain; name the host",
    ),
    "no application": (
        by_handle(web=running("LLMServer")),
        r"no application of rewards runs in this Ray cluster; start one with: serve run deployments/",
    ),
    "a reward that the application lacks": (
        by_handle(rewards=running("tidier", "router")),
        r"application 'rewards' has no reward 'tidy'; correct reward\.name; did you mean 'tidier'",
    ),
    "an application that is still starting": (
        by_handle(rewards=running("tidy", "router", status="DEPLOYING")),
        r"application 'rewards' is DEPLOYING; wait until it is RUNNING, or see why: serve status",
    ),
    "a reward whose replicas die": (
        by_handle(rewards=running("tidy", "router", tidy="UNHEALTHY")),
        r"deployment 'tidy' is UNHEALTHY: .*; wait until it is HEALTHY",
    ),
    # agent
    "an environment that does not exist": (
        agent("{}/games.py::Game"),
        r"games\.py: no such file.*; correct agent\.env",
    ),
    "an environment of another name": (agent("{}/game.py::Gmae"), r"defines no 'Gmae'; did you mean 'Game'.*; correct"),
    "an environment in a package that is not there": (
        agent("no_such_package:Game"),
        r"no package 'no_such_package'.*; in",
    ),
    # folders and environment
    "a file where the output goes": (file_in_the_way, r"is a file, and checkpoint\.output_dir.*; choose another"),
    "nothing to resume from": (no_checkpoint, r"has no file 'latest'; .*set checkpoint\.resume to false"),
    "a secret by its name": (env("HF_TOKEN", "x"), r"HF_TOKEN looks like a secret.*; set it on the nodes instead"),
    "a secret by its value": (
        env("MODEL", "hf_" + "a" * 34),
        r"env_vars\.MODEL looks like a secret.*; set it on the nodes",
    ),
    "a secret on the command line": (
        raw(judge="sk-" + "a" * 40),
        r"a word of the command looks like a secret.*; set it",
    ),
    "what OpenRLHF sets itself": (env("NCCL_DEBUG", "INFO"), r"NCCL_DEBUG is set by OpenRLHF itself.*; remove it here"),
}


def files_below(folder: Path) -> set[Path]:
    return {*folder.rglob("*")}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_with_its_remedy_before_anything_starts(world: World, mistake: str) -> None:
    break_it, expected = MISTAKES[mistake]
    break_it(world)
    before = files_below(world.folder)

    with pytest.raises(ConfigError) as caught:
        world.preflight()

    lines = str(caught.value).splitlines()
    assert [line for line in lines if re.search(expected, line)], lines
    assert len(lines) == 1, "one mistake is one line"
    assert_nothing_was_started(world)
    assert files_below(world.folder) == before


def assert_nothing_was_started(world: World) -> None:
    """The cluster was only asked, and the reward only for the run of its own."""
    for request in world.asked:
        is_question = request.method == "GET" or request.url.params.get("run") == "preflight"
        assert is_question or json.loads(request.content)["run"] == "preflight", request.url
        assert request.url.host != "head" or request.method == "GET"


def test_without_a_mistake_everything_passes(world: World) -> None:
    assert world.preflight() == []

    assert_nothing_was_started(world)
    assert {request.url.host for request in world.asked} == {"head", "reward"}


def test_the_same_training_scored_through_ray_passes(world: World) -> None:
    world.sections["reward"] = {"name": "tidy"}

    assert world.preflight() == []
    assert {request.url.host for request in world.asked} == {"head"}


def test_everything_wrong_is_told_at_once(world: World) -> None:
    for mistake in ("no prompts", "an optimizer batch larger than a step", "a reward that is no number", "no model"):
        MISTAKES[mistake][0](world)
    MISTAKES["GPUs that somebody else uses"][0](world)

    with pytest.raises(ConfigError) as caught:
        world.preflight()

    checks = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert checks == ["batches", "model", "prompts", "reward", "cluster"]


def test_the_probes_are_the_training_s_own_prompts_and_a_wrong_answer(world: World) -> None:
    world.preflight()

    sent = [json.loads(request.content) for request in world.asked if request.method == "POST"]
    assert sorted(body["query"][0] for body in sent) == [
        "0 + 1 = ?I do not know.", "0 + 1 = ?it is 1", "2 + 1 = ?it is 3", "4 + 1 = ?it is 5", "7 + 1 = ?it is 8",
    ]  # fmt: skip
    assert {str(request.url) for request in world.asked if request.method == "POST"} == {f"{REWARD}?run=preflight"}
