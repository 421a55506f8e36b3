import dataclasses
from pathlib import Path

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.flags import CRITIC_FLAG_OF_KEY, FLAG_OF_KEY, render_flags
from rayreward.jobs.openrlhf.parser import installed_parser, installed_version
from rayreward.jobs.render import bind_reward, render
from rayreward.jobs.spec import load_spec
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000/get_reward"
RECIPES = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))


def flags_of(**sections: object) -> list[str]:
    return render_flags(build_spec(**sections), reward_urls=[URL])


def value_of(flags: list[str], flag: str) -> str:
    return flags[flags.index(flag) + 1]


def test_the_spec_s_keys_become_dotted_flags() -> None:
    flags = flags_of(
        rollout={"batch_size": 8}, optimizer={"betas": [0.8, 0.9]}, data={"prompts": "p.jsonl", "max_len": 64}
    )

    assert value_of(flags, "--rollout.batch_size") == "8"
    assert value_of(flags, "--data.max_len") == "64"
    assert value_of(flags, "--reward.remote_url") == URL
    start = flags.index("--actor.adam.betas")
    assert flags[start + 1 : start + 3] == ["0.8", "0.9"]


def test_a_switch_appears_without_a_value_or_not_at_all() -> None:
    assert "--data.apply_chat_template" not in flags_of()
    flags = flags_of(data={"prompts": "p.jsonl", "apply_chat_template": True})
    assert flags[flags.index("--data.apply_chat_template") + 1].startswith("--")


def test_gpus_are_always_set_because_openrlhf_would_wait_for_eight() -> None:
    flags = flags_of(algorithm={"estimator": "gae", "kl_coef": 0.1})

    for role in ("actor", "ref", "critic"):
        assert value_of(flags, f"--{role}.num_gpus_per_node") == "1"
        assert value_of(flags, f"--{role}.num_nodes") == "1"


def test_roles_that_the_algorithm_does_not_have_are_left_out() -> None:
    assert not [flag for flag in flags_of() if flag.startswith(("--ref.", "--critic."))]


def test_several_reward_urls_are_joined_with_commas() -> None:
    flags = render_flags(build_spec(), reward_urls=["http://a", "http://b"])

    assert value_of(flags, "--reward.remote_url") == "http://a,http://b"


def test_a_raw_flag_is_passed_on_with_or_without_dashes() -> None:
    flags = flags_of(
        extra_args={
            "train.enable_ema": True,
            "--actor.eps_clip_low_high": [0.2, 0.3],
            "data.disable_fast_tokenizer": False,
        }
    )

    assert flags[-4:] == ["--train.enable_ema", "--actor.eps_clip_low_high", "0.2", "0.3"]


def test_a_raw_flag_that_a_key_sets_is_refused_with_that_key() -> None:
    with pytest.raises(ConfigError, match=r"--rollout\.batch_size is already set by rollout\.batch_size"):
        flags_of(extra_args={"rollout.batch_size": 8})


def test_the_wandb_key_never_stands_on_the_command_line() -> None:
    assert value_of(flags_of(logging={"wandb_project": "p"}), "--logger.wandb.key") == "from-environment"
    with pytest.raises(ConfigError, match="WANDB_API_KEY"):
        flags_of(extra_args={"logger.wandb.key": "0123"})


@pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")
def test_every_flag_that_can_be_rendered_exists_in_the_installed_openrlhf() -> None:
    parser = installed_parser()
    assert parser is not None

    assert {*FLAG_OF_KEY.values(), *CRITIC_FLAG_OF_KEY.values()} <= parser.flags


@pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_renders_to_a_command_line_that_openrlhf_accepts(recipe: Path) -> None:
    spec = load_spec(recipe)

    job = render(spec, reward_urls=bind_reward(spec, "http://127.0.0.1:8000"), run_id="r", parser=installed_parser())

    assert job.name == spec.name
    assert dataclasses.asdict(job)


@pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")
def test_every_switch_at_once_is_accepted() -> None:
    spec = build_spec(
        model={"path": "m/n", "gradient_checkpointing": True, "critic_path": "m/n", "lora_rank": 8},
        data={
            "prompts": "p/q",
            "label_key": "l",
            "apply_chat_template": True,
            "input_template": "Q: {}",
            "max_samples": 8,
        },
        algorithm={
            "estimator": "gae",
            "kl_coef": 0.1,
            "kl_as_loss": True,
            "dynamic_filtering": True,
            "entropy_coef": 0.1,
        },
        train={"async_rollout": True, "adam_offload": True, "packing_samples": True, "sleep": True},
        resources={"colocate": "all", "vllm": {"sleep": True, "prefix_caching": True, "enforce_eager": True}},
        logging={"tensorboard_dir": "./t", "wandb_project": "p"},
        checkpoint={"save_steps": 5, "save_hf": True, "resume": True},
    )
    parser = installed_parser()
    assert parser is not None

    assert parser.check(render_flags(spec, reward_urls=[URL])) == []
