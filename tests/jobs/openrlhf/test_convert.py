import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.convert import ConvertedCommand, convert_command
from rayreward.jobs.openrlhf.flags import render_flags
from rayreward.jobs.openrlhf.parser import parser_of
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from tests.jobs.conftest import build_spec

COMMANDS = sorted((Path(__file__).parent / "data" / "commands").glob("*.sh"))
START = "python3 -m openrlhf.cli.train_ppo_ray --pretrain a/b --prompt_data c/d "
ROUND_TRIP_VERSIONS = ("0.8.11", "0.9.10", "0.10.4", "0.11.2")


def convert(command: str) -> ConvertedCommand:
    return convert_command(START + command)


def spec_of(converted: ConvertedCommand) -> OpenRLHFSpec:
    return OpenRLHFSpec.parse(converted.data, source="converted.yaml")


def noted(converted: ConvertedCommand, words: str) -> bool:
    return any(words in note for note in converted.notes)


def read(name: str) -> ConvertedCommand:
    return convert_command((Path(__file__).parent / "data" / "commands" / f"{name}.sh").read_text())


@pytest.mark.parametrize("version", ["0.9.10", "0.11.2"])
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_documented_command_becomes_a_spec_that_old_and_new_versions_take(path: Path, version: str) -> None:
    spec = spec_of(convert_command(path.read_text()))

    assert parser_of(version).check(render_flags(spec, reward_urls=["http://a"], version=version)) == []


def test_a_whole_command_is_carried_over() -> None:
    spec = spec_of(read("remote_reward_model"))

    assert (spec.name, spec.model.path) == ("llama-3-8b-sft-mixture", "OpenRLHF/Llama-3-8b-sft-mixture")
    assert (spec.data.max_len, spec.rollout.max_new_tokens) == (2048, 1024)
    assert (spec.rollout.batch_size, spec.train.batch_size, spec.train.micro_batch_size) == (1024, 128, 8)
    assert (spec.algorithm.estimator, spec.algorithm.kl_coef) == ("gae", 0.01)
    assert spec.resources.actor == spec.reference == spec.critic
    assert (spec.resources.actor.gpus, spec.resources.vllm.gpus, spec.resources.colocate) == (2, 4, "actor_ref")
    assert spec.reward.urls == ("http://localhost:5000/get_reward",)
    assert spec.extra_args == {"ref.offload": True, "reward.normalize_enable": True}
    assert spec.logging.wandb_project == "openrlhf_train_ppo"


def test_a_reward_function_is_named_and_the_note_says_how_it_is_served() -> None:
    converted = read("math")

    assert converted.data["reward"] == {"name": "reward_func_math"}
    assert noted(converted, "import_path: './reward_func_math.py::reward_func'} and start `rayreward serve")


def test_an_agent_file_is_its_environment() -> None:
    converted = read("math_agent")

    assert converted.data["agent"] == {
        "environment": "./agent_func_math.py::AgentExecutor",
        "max_turns": 3,
        "rewards": "environment",
    }
    assert converted.data["train"]["async_rollout"] is True
    assert noted(converted, "--max_steps 3: no version's train_ppo_ray has that flag; it is agent.max_turns")


def test_what_the_command_leaves_out_is_what_openrlhf_does_and_not_what_the_spec_does() -> None:
    converted = convert("--rollout_batch_size 64")
    spec = spec_of(converted)

    assert (spec.rollout.n_samples_per_prompt, spec.algorithm.estimator, spec.algorithm.kl_coef) == (1, "gae", 0.01)
    assert (spec.train.batch_size, spec.resources.actor.gpus_per_node) == (128, 8)
    assert spec.resources.vllm.gpu_memory_utilization == 0.95
    assert spec.rollout.max_new_tokens is None
    assert noted(converted, "written down as OpenRLHF 0.10.1 has it: rollout.n_samples_per_prompt 1")
    assert noted(converted, "no --vllm_num_engines: one vLLM engine")


def test_the_batch_of_all_samples_needs_no_number() -> None:
    converted = convert("--rollout_batch_size 16 --n_samples_per_prompt 8")

    assert "batch_size" not in converted.data.get("train", {}), "128 is what a step makes"


def test_roles_that_differ_from_the_actor_are_described() -> None:
    flags = "--actor_num_gpus_per_node 4 --ref_num_nodes 2 --ref_num_gpus_per_node 2 --critic_num_gpus_per_node 4"

    resources = convert(flags).data["resources"]

    assert resources["actor"] == {"nodes": 1, "gpus_per_node": 4}
    assert resources["reference"] == {"nodes": 2, "gpus_per_node": 2}
    assert "critic" not in resources
    without_kl = convert(f"{flags} --init_kl_coef 0 --advantage_estimator reinforce").data["resources"]
    assert "reference" not in without_kl


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--colocate_all_models", {"resources.colocate": "all"}),
        ("--train.colocate_actor_ref", {"resources.colocate": "actor_ref"}),
        ("--save_steps -1", {"checkpoint.save_steps": None}),
        ("--remote_rm_url http://a/r,http://b/r", {"reward.url": ["http://a/r", "http://b/r"]}),
        ("--remote_rm_url 10.0.0.1:5000/get_reward", {"reward.url": "http://10.0.0.1:5000/get_reward"}),
        ("--wandb_run_name night_1", {"name": "night_1"}),
        ("--wandb_run_name 'night run'", {"name": "night-run", "logging.wandb_run_name": "night run"}),
        ("--use_wandb KEY --wandb_project mine", {"logging.wandb_project": "mine"}),
        ("--critic_learning_rate 1e-5 --critic_pretrain e/f", {"model.critic_path": "e/f"}),
        ("--eval_dataset e/f --eval_steps 5", {"extra_args": {"eval.dataset": "e/f", "eval.steps": 5}}),
        ("--target_modules q_proj v_proj", {"extra_args": {"ds.lora.target_modules": ["q_proj", "v_proj"]}}),
        ("--max_ckpt_mem 500", {"extra_args": {"ckpt.max_mem": 500.0}}),
        ("--load_checkpoint --save_hf_ckpt", {"checkpoint.resume": True, "checkpoint.save_hf": True}),
        ("--deepspeed_enable_sleep --vllm_enable_sleep", {"train.sleep": True, "resources.vllm.sleep": True}),
        ("--save_path ./o --ckpt_path ./o/checkpoints", {"checkpoint.output_dir": "./o"}),
    ],
)
def test_a_flag_finds_its_key(flags: str, expected: dict[str, Any]) -> None:
    converted = convert(flags)

    spec_of(converted)
    for key, value in expected.items():
        found: Any = converted.data
        for part in key.split("."):
            found = found[part]
        assert found == value


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (f"{START} --reward_pretrain r/m", "--reward_pretrain r/m: reward models are served beside the training"),
        (f"{START} --wandb_project p", "--wandb_project p: without --use_wandb nothing was logged"),
        (f"{START} --max_steps 3", "--max_steps 3: turns of an agent, and there is none"),
        (f"{START} --ckpt_path /big", "--ckpt_path /big: checkpoints are kept in ./runs/b/checkpoints"),
        (f"{START} --critic.max_norm 2 --actor.max_norm 1", "the critic shares the actor's optimizer.max_grad_norm"),
        (f"{START} --wandb_group g", "W&B reads it from env_vars.WANDB_RUN_GROUP"),
        (f"{START} --my_own 1", "--my_own 1: no OpenRLHF"),
        (f"{START}\n{START}", "the text starts 1 more training(s)"),
        ("python -m openrlhf.cli.train_ppo_ray --pretrain a/b", "data.prompts is missing: the command has no --prompt"),
        ("python -m openrlhf.cli.train_ppo_ray --prompt_data c/d", "model.path is missing: the command has no --pretr"),
        ("python -m openrlhf.cli.train_ppo_ray --pretrain $M", "model.path is $M, which the text gives no value"),
        ("python -m openrlhf.cli.train_ppo_ray --pretrain '{model}'", "model.path is {model}, which the text gives"),
        (f"ray job submit --address=h:1 -- {START}", "give it to `rayreward jobs submit --address`"),
        (f"ray job submit --no-wait -- {START}", "--no-wait of ray job submit: no part of a spec"),
        (f"ray job submit --runtime-env-json='{{' -- {START}", "--runtime-env-json cannot be read as JSON"),
        (f"HF_TOKEN=abc {START}", "HF_TOKEN looks like a secret"),
        (f"NCCL_DEBUG=INFO {START}", "NCCL_DEBUG is set by OpenRLHF itself"),
    ],
)
def test_what_cannot_be_carried_over_is_noted(text: str, note: str) -> None:
    assert noted(convert_command(text), note)


def test_a_missing_key_is_asked_for_by_the_spec_too() -> None:
    converted = convert_command("python -m openrlhf.cli.train_ppo_ray --pretrain a/b")

    with pytest.raises(ConfigError, match="key 'data' is required"):
        spec_of(converted)


def test_the_environment_of_the_command_is_kept_except_for_secrets() -> None:
    runtime_env = '{"working_dir": "/openrlhf", "env_vars": {"A": "1", "HF_TOKEN": "S3CRET"}}'

    converted = convert_command(f"ray job submit --runtime-env-json='{runtime_env}' -- B=2 {START} --use_wandb S3CRET")

    assert converted.data["env_vars"] == {"A": "1", "B": "2"}
    assert noted(converted, "working_dir of --runtime-env-json: no part of a spec")
    assert "S3CRET" not in converted.yaml()


def test_the_file_has_the_notes_on_top_and_the_sections_in_the_spec_s_order() -> None:
    converted = read("remote_reward_model")

    text = converted.yaml()

    assert yaml.safe_load(text) == converted.data
    assert list(converted.data) == [key for key in OpenRLHFSpec.model_fields if key in converted.data]
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert text.splitlines()[: len(head)] == head
    assert len([line for line in head if line.startswith("# - ")]) == len(converted.notes)
    assert max(map(len, head)) <= 120


FULL: dict[str, Any] = {
    "name": "full",
    "model": {"path": "m/n", "gradient_checkpointing": True, "critic_path": "c/n", "lora_rank": 8},
    "data": {"prompts": "p/q", "split": "test", "label_key": "l", "input_template": "- Q: {}\n# A:", "max_samples": 9},
    "rollout": {"batch_size": 4, "n_samples_per_prompt": 2, "temperature": 0.7, "top_p": 0.9},
    "algorithm": {
        "estimator": "gae",
        "kl_coef": 0.1,
        "kl_as_loss": True,
        "kl_estimator": "k3",
        "gae_lambda": 0.9,
        "clip_range": 0.3,
        "dynamic_filtering": True,
        "dynamic_filtering_range": [0.1, 0.8],
        "entropy_coef": 0.1,
    },
    "optimizer": {"learning_rate": 1e-5, "critic_learning_rate": 2e-5, "scheduler": "constant", "betas": [0.8, 0.9]},
    "train": {"batch_size": 4, "async_rollout": True, "adam_offload": True, "packing_samples": True, "seed": 7},
    "resources": {
        "actor": {"gpus_per_node": 2},
        "reference": {"nodes": 2},
        "critic": {"gpus_per_node": 4},
        "colocate": "actor_ref",
        "vllm": {"engines": 3, "tensor_parallel": 2, "prefix_caching": True, "sync_backend": "gloo"},
    },
    "reward": {"url": ["http://a/r", "http://b/r"], "clip_range": [-1, 2]},
    "logging": {"tensorboard_dir": "./t", "every_steps": 3, "wandb_run_name": "a run"},
    "checkpoint": {"output_dir": "./o", "save_steps": 5, "save_hf": True, "keep": 1, "resume": True},
    "extra_args": {"train.enable_ema": True, "eval.dataset": "e/f"},
}


@pytest.mark.parametrize("version", ROUND_TRIP_VERSIONS)
@pytest.mark.parametrize("sections", [FULL, {"reward": {"url": "http://a/r"}}], ids=["full", "default"])
def test_a_rendered_spec_comes_back_as_it_was(sections: dict[str, Any], version: str) -> None:
    spec = build_spec(**sections)
    words = render_flags(spec, reward_urls=spec.reward.urls, version=version)

    converted = convert_command(f"python -m openrlhf.cli.train_ppo_ray {shlex.join(words)}")

    # A spec's name is not in the command where its W&B run is named otherwise.
    back = spec_of(converted).model_copy(update={"name": spec.name})
    assert back.resolved(Path("/data")) == spec.resolved(Path("/data"))
    assert not noted(converted, "left out")
