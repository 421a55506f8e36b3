import pytest

from rayreward.jobs.openrlhf.options import Options, read_options

CORRECTION = "--algo.advantage.is_correction_"


def read(command: str) -> Options:
    return read_options(command.split())


def test_flat_flags_get_the_newest_names_and_typed_values() -> None:
    given = read("--rollout_batch_size 8 --async_train --adam_betas 0.9 0.99 --pretrain a/b").given

    assert given == {
        "--rollout.batch_size": 8,
        "--train.async_enable": True,
        "--actor.adam.betas": [0.9, 0.99],
        "--critic.adam.betas": [0.9, 0.99],
        "--actor.model_name_or_path": "a/b",
    }


@pytest.mark.parametrize(
    ("command", "version"),
    [
        ("--rollout.batch_size 8", "0.11.2"),
        ("--algo.advantage.is_correction_enable", "0.11.1"),
        ("--rollout_batch_size 8", "0.10.1"),
        ("--rollout_batch_size 8 --prompt_max_len 8 --generate_max_len 8", "0.9.7"),
        ("--rollout_batch_size 8 --bf16", "0.9.1"),
    ],
)
def test_defaults_are_those_of_the_newest_version_that_knows_the_flags(command: str, version: str) -> None:
    assert read(command).version == version


def test_a_default_is_asked_for_by_the_newest_name() -> None:
    old = read("--rollout_batch_size 8 --bf16")

    assert old.default("--train.micro_batch_size") == 4
    assert old.default("--actor.min_lr_ratio") == 0.1, "no option there, but this is what it does"
    assert old.default("--actor.loss_agg_mode") is None


def test_the_last_of_two_counts_and_a_unique_beginning_is_enough_as_for_argparse() -> None:
    given = read("--seed 1 --seed=2 --colocate_all").given

    assert given == {"--train.seed": 2, "--train.colocate_all": True}


def test_two_limits_become_one_for_both_together() -> None:
    given = read("--prompt_max_len 100 --generate_max_len 300").given
    limited = read("--prompt_max_len 100 --generate_max_len 300 --max_len 350 --bf16").given

    assert (given["--data.max_len"], given["--rollout.max_new_tokens"]) == (400, 300)
    assert limited["--data.max_len"] == 350


@pytest.mark.parametrize(
    ("command", "level", "mode", "threshold"),
    [
        ("--enable_vllm_is_correction --bf16 --vllm_is_truncated_threshold 3", "token", "clip", [0.0, 3.0]),
        ("--enable_vllm_is_correction --use_icepop", "token", "mask", [0.5, 5.0]),
        ("--enable_vllm_is_correction --vllm_is_correction_type seq-mask-tis", "seq", "mask", [0.5, 5.0]),
        ("--algo.advantage.is_correction_enable", "token", "clip", [0.5, 5.0]),
    ],
)
def test_the_correction_for_vllm_is_said_in_the_newest_words(
    command: str, level: str, mode: str, threshold: list[float]
) -> None:
    options = read(command)

    found = {flag: value for flag, value in options.given.items() if flag.startswith(CORRECTION)}
    assert found == {f"{CORRECTION}level": level, f"{CORRECTION}mode": mode, f"{CORRECTION}threshold": threshold}
    assert "only that version" in options.notes[-1]


def test_a_correction_that_is_off_says_nothing() -> None:
    assert read("--vllm_is_truncated_threshold 0.1 2 --vllm_is_correction_type tis").given == {}


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ("--seed $SEED", "--seed $SEED: left out: invalid literal"),
        ("--adam_betas 0.9", "--adam_betas 0.9: left out: a value is missing"),
        ("--seed 1 2", "2: belongs to no flag; left out"),
        ("${ARGS[@]} --seed 1", "${ARGS[@]}: belongs to no flag"),
        ("--perf", "--perf: has no effect on a training"),
        ("--my_own 1", "--my_own 1: no OpenRLHF from 0.8.11 to 0.11.2 has this flag"),
        ("--my_api_key abc", "--my_api_key: no OpenRLHF"),
    ],
)
def test_what_is_not_kept_is_noted(command: str, note: str) -> None:
    assert any(found.startswith(note) for found in read(command).notes)


def test_a_secret_is_in_no_note_and_no_option() -> None:
    options = read("--use_wandb S3CRET --my_token S3CRET --logger.wandb.key=S3CRET")

    assert "S3CRET" not in repr(options)
