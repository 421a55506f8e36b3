import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.flags import CRITIC_FLAG_OF_KEY, FLAG_OF_KEY, PINNED_FLAGS, render_flags
from rayreward.jobs.openrlhf.parser import OpenRLHFParser, parser_of
from rayreward.jobs.openrlhf.versions import (
    NEWEST,
    SUPPORTED_VERSIONS,
    all_flags,
    dotted_names,
    known_flags,
    names_in,
)
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000/get_reward"
LAST_FLAT = "0.10.1"
EVERY_SWITCH = {
    "model": {"path": "m/n", "gradient_checkpointing": True, "critic_path": "m/n", "lora_rank": 8},
    "data": {
        "prompts": "p/q",
        "label_key": "l",
        "apply_chat_template": True,
        "input_template": "Q: {}",
        "max_samples": 8,
    },
    "algorithm": {
        "estimator": "gae",
        "kl_coef": 0.1,
        "kl_as_loss": True,
        "dynamic_filtering": True,
        "entropy_coef": 0.1,
    },
    "train": {"async_rollout": True, "adam_offload": True, "packing_samples": True, "sleep": True},
    "resources": {"colocate": "all", "vllm": {"sleep": True, "prefix_caching": True, "enforce_eager": True}},
    "logging": {"tensorboard_dir": "./t", "wandb_project": "p"},
    "checkpoint": {"save_steps": 5, "save_hf": True, "resume": True},
}


def flags_of(version: str = NEWEST, **sections: object) -> list[str]:
    return render_flags(build_spec(**sections), reward_urls=[URL], version=version)


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


def test_for_an_old_version_they_become_flat_flags() -> None:
    flags = flags_of(LAST_FLAT, rollout={"batch_size": 8}, algorithm={"estimator": "gae", "kl_coef": 0.1})

    assert value_of(flags, "--rollout_batch_size") == "8"
    assert value_of(flags, "--remote_rm_url") == URL
    assert flags.count("--adam_betas") == 1, "actor and critic share it there"
    assert not [word for word in flags if word.startswith("--") and "." in word]


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


def test_an_agent_s_file_stands_in_place_of_a_reward() -> None:
    spec = build_spec()

    assert value_of(render_flags(spec, agent_path="./a.py"), "--train.agent_func_path") == "./a.py"
    old = render_flags(spec, agent_path="./a.py", version="0.9.10")
    assert value_of(old, "--agent_func_path") == "./a.py"
    assert "--remote_rm_url" not in old


@pytest.mark.parametrize(("urls", "agent", "found"), [([], None, "neither"), ([URL], "./a.py", "both")])
def test_samples_are_scored_in_one_place(urls: list[str], agent: str | None, found: str) -> None:
    with pytest.raises(ConfigError, match=f"found {found}"):
        render_flags(build_spec(), reward_urls=urls, agent_path=agent)


def test_openrlhf_is_told_nothing_of_wandb_but_the_name_of_its_tensorboard_folder() -> None:
    flags = flags_of(logging={"wandb_project": "p", "wandb_run_name": "night run"})

    assert [flag for flag in flags if "wandb" in flag] == ["--logger.wandb.run_name"]
    assert value_of(flags, "--logger.wandb.run_name") == "night run"


def test_a_text_that_begins_with_a_dash_is_not_taken_for_a_flag() -> None:
    flags = flags_of(data={"prompts": "p.jsonl", "input_template": "- {}"})

    assert "--data.input_template=- {}" in flags
    assert parser_of(NEWEST).check(flags) == []


def test_a_version_that_is_not_supported_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.12\.0 is not supported"):
        flags_of("0.12.0")


def default_in(version: str, flag: str) -> object:
    default = known_flags(version)[names_in(version, flag)[0]].default
    return float("inf") if default == "inf" else default


def test_every_option_whose_default_is_not_the_same_everywhere_is_told_to_all_who_know_it() -> None:
    told = {
        version: flags_of(version, algorithm={"estimator": "gae", "kl_coef": 0.1}) for version in SUPPORTED_VERSIONS
    }
    options = {name for row in all_flags() for name in dotted_names().get(row.flag, (row.flag,))}
    changed = set()

    for option in options:
        having = [version for version in SUPPORTED_VERSIONS if names_in(version, option)]
        if any(default_in(version, option) != default_in(having[0], option) for version in having):
            changed.add(option)
            assert all(names_in(version, option)[0] in told[version] for version in having), option

    assert (
        changed
        == {
            "--algo.advantage.is_correction_threshold",
            "--ckpt.max_mem",
            "--data.max_len",
            "--rollout.micro_batch_size",
            "--train.micro_batch_size",
        }
        | {"--data.max_samples"} & changed
    )


def test_what_is_pinned_may_be_set_otherwise() -> None:
    assert value_of(flags_of(), "--ckpt.max_mem") == str(PINNED_FLAGS["--ckpt.max_mem"])
    flags = flags_of("0.9.10", extra_args={"ckpt.max_mem": 500})

    assert value_of(flags, "--max_ckpt_mem") == "500"
    assert flags.count("--max_ckpt_mem") == 1


def test_every_key_s_flag_exists_in_the_newest_version() -> None:
    assert {*FLAG_OF_KEY.values(), *CRITIC_FLAG_OF_KEY.values()} <= known_flags(NEWEST).keys()


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_every_switch_at_once_is_accepted_by_every_version(version: str) -> None:
    assert parser_of(version).check(flags_of(version, **EVERY_SWITCH)) == []


@pytest.mark.openrlhf
def test_every_switch_at_once_is_accepted_by_the_real_parsers(real_parsers: dict[str, OpenRLHFParser]) -> None:
    for version, parser in real_parsers.items():
        assert parser.check(flags_of(version, **EVERY_SWITCH)) == [], version
