import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.dialect import Planned, tell, tell_extra_args
from rayreward.jobs.openrlhf.flags import render_flags
from rayreward.jobs.openrlhf.parser import parser_of
from rayreward.jobs.openrlhf.versions import NEWEST, SUPPORTED_VERSIONS
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000/get_reward"


def flags_of(version: str = NEWEST, **sections: object) -> list[str]:
    return render_flags(build_spec(**sections), reward_urls=[URL], version=version)


def value_of(flags: list[str], flag: str) -> str:
    return flags[flags.index(flag) + 1]


def test_before_0_9_8_the_room_of_prompt_and_response_is_divided() -> None:
    lengths = {"data": {"prompts": "p.jsonl", "max_len": 3000}, "rollout": {"max_new_tokens": 2000}}

    old, new = flags_of("0.9.7", **lengths), flags_of("0.9.8", **lengths)

    assert [value_of(old, f"--{name}") for name in ("prompt_max_len", "generate_max_len", "max_len")] == [
        "1000",
        "2000",
        "3000",
    ]
    assert (value_of(new, "--max_len"), value_of(new, "--max_new_tokens")) == ("3000", "2000")


@pytest.mark.parametrize("max_new_tokens", [None, 2048])
def test_a_response_without_a_limit_of_its_own_is_refused_there(max_new_tokens: int | None) -> None:
    sections = {"rollout": {"max_new_tokens": max_new_tokens}}

    with pytest.raises(ConfigError, match=r"rollout\.max_new_tokens .*0\.9\.7 limits.* below data\.max_len.* 0\.9\.8"):
        flags_of("0.9.7", **sections)
    assert parser_of("0.9.8").check(flags_of("0.9.8", **sections)) == []


def test_before_0_9_2_bf16_was_a_switch_and_the_only_type() -> None:
    assert "--bf16" in flags_of("0.9.1")
    assert value_of(flags_of("0.9.2"), "--param_dtype") == "bf16"
    with pytest.raises(ConfigError, match=r"model\.dtype fp16: OpenRLHF 0\.9\.1 knows bf16 only"):
        flags_of("0.9.1", model={"path": "m/n", "dtype": "fp16"})


def test_before_0_9_1_the_correction_has_an_upper_bound_only() -> None:
    flags = flags_of("0.9.0")

    start = flags.index("--vllm_is_truncated_threshold")
    assert flags[start + 1] == "5.0"
    assert flags[start + 2].startswith("--")


@pytest.mark.parametrize(
    ("version", "sections", "expected"),
    [
        (
            "0.9.10",
            {"optimizer": {"min_lr_ratio": 0.05}},
            r"optimizer\.min_lr_ratio 0\.05: OpenRLHF 0\.9\.10 has no such option; leave it at 0\.1.*0\.10\.2 …",
        ),
        (
            "0.9.0",
            {"train": {"async_queue_size": 4}},
            r"train\.async_queue_size 4: .*leave it at 1, which is what that version does, or run 0\.9\.1 … 0\.11\.2",
        ),
        (
            "0.11.1",
            {"algorithm": {"estimator": "flash_reinforce"}},
            r"algorithm\.estimator flash_reinforce: OpenRLHF 0\.11\.1 does not know it; take one of gae, .* 0\.11\.2",
        ),
        (
            "0.10.3",
            {"optimizer": {"scheduler": "linear"}},
            r"optimizer\.scheduler linear: OpenRLHF 0\.10\.3 fails with it; .*run 0\.10\.4 or later",
        ),
    ],
)
def test_what_a_version_lacks_is_refused_by_its_key(version: str, sections: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^test: {expected}"):
        flags_of(version, **sections)


def test_what_a_version_does_anyway_needs_no_flag() -> None:
    same = {"optimizer": {"min_lr_ratio": 0.1}, "train": {"async_queue_size": 1}}

    assert not [flag for flag in flags_of("0.8.11", **same) if "min_lr_ratio" in flag or "queue" in flag]


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_the_default_spec_is_told_to_every_version(version: str) -> None:
    assert parser_of(version).check(flags_of(version)) == []


def test_a_raw_flag_is_passed_on_with_or_without_dashes() -> None:
    flags = flags_of(
        extra_args={
            "train.enable_ema": True,
            "--actor.eps_clip_low_high": [0.2, 0.3],
            "data.disable_fast_tokenizer": False,
        }
    )

    assert flags[-4:] == ["--train.enable_ema", "--actor.eps_clip_low_high", "0.2", "0.3"]


@pytest.mark.parametrize(("version", "written"), [("0.9.10", "ref.offload"), ("0.11.2", "ref_reward_offload")])
def test_a_raw_flag_of_another_version_gets_this_version_s_name(version: str, written: str) -> None:
    flags = flags_of(version, extra_args={written: True})

    assert parser_of(version).check(flags) == []
    assert flags[-1] in ("--ref_reward_offload", "--reward.offload")


def test_a_raw_flag_that_no_version_has_is_left_to_the_parser_of_a_fork() -> None:
    assert flags_of(extra_args={"my.own": 1})[-2:] == ["--my.own", "1"]


@pytest.mark.parametrize(
    ("version", "written", "expected"),
    [
        ("0.11.2", "rollout.batch_size", r"--rollout\.batch_size is already set by rollout\.batch_size"),
        ("0.11.2", "rollout_batch_size", r"--rollout_batch_size is already set by rollout\.batch_size"),
        ("0.9.10", "rollout.batch_size", r"is already set by rollout\.batch_size"),
        ("0.9.7", "prompt_max_len", r"is already set by data\.max_len"),
        ("0.11.2", "actor.num_nodes", r"is already set by resources\.actor"),
        ("0.11.2", "train.batch_size", r"is already set by train\.batch_size"),
        ("0.11.2", "train.async_enable", r"is already set by train\.async_rollout"),
        ("0.11.2", "reward.remote_url", r"is already set by reward"),
        ("0.11.2", "logger.wandb.key", "shows a secret; use logging.wandb_project, with WANDB_API_KEY"),
        ("0.9.10", "use_wandb", "shows a secret; use logging.wandb_project, with WANDB_API_KEY"),
        ("0.9.10", "actor.loss_agg_mode", r"OpenRLHF 0\.9\.10 lacks it, 0\.11\.2 has it"),
        ("0.11.2", "ptx_coef", r"OpenRLHF 0\.11\.2 lacks it, 0\.8\.11 … 0\.10\.1 has it"),
    ],
)
def test_a_raw_flag_that_cannot_stand_is_refused_with_its_reason(version: str, written: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^test: extra_args: .*{expected}"):
        flags_of(version, extra_args={written: 8})


def test_two_names_of_one_raw_flag_must_agree() -> None:
    def told(second: object) -> object:
        extra = {"train.ema_beta": 0.5, "ema_beta": second}
        return tell_extra_args(extra, {}, name="test", version="0.9.10")

    assert told(0.5) == {"--ema_beta": 0.5}
    with pytest.raises(ConfigError, match="two values; keep one of them"):
        told(0.9)


def test_an_option_may_be_told_without_the_others() -> None:
    told = tell([Planned("train.seed", "--train.seed", 7)], name="test", version="0.8.11")

    assert told == {"--seed": Planned("train.seed", "--seed", 7)}
