import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.pasted import read_command

SCRIPT = """#!/bin/bash
WORK_DIR=$(cd "$(dirname "$0")/.." && pwd)
MODEL="Qwen/Qwen2.5-0.5B"
export SAMPLES=8
MODEL_ARGS=(
   --pretrain ${MODEL}
   # --reward_pretrain ${OLD_REWARD}
   --save_path "${WORK_DIR}/out"
)
ROLLOUT_ARGS=( --n_samples_per_prompt $SAMPLES )
ray start --head
NCCL_DEBUG=INFO python3 -m openrlhf.cli.train_ppo_ray \\
   ${MODEL_ARGS[@]} "${ROLLOUT_ARGS[@]}" ${NOT_HERE[@]}
ray stop
"""


def after(text: str) -> list[str]:
    return list(read_command(text).after)


def test_continued_lines_are_one_command() -> None:
    found = read_command(
        "ray job submit --address=a \\\n  -- python3 -m openrlhf.cli.train_ppo_ray \\\n  --a 1 \\\n  --b=2\n"
    )

    assert found.before == ("ray", "job", "submit", "--address=a", "--", "python3", "-m")
    assert found.after == ("--a", "1", "--b=2")


@pytest.mark.parametrize(
    "text",
    [
        "python -m openrlhf.cli.train_ppo_ray --a 1 --b 2",
        "python -m openrlhf.cli.train_ppo_ray --a 1 \\\r\n --b 2\r\n",
        "python -m openrlhf.cli.train_ppo_ray --a 1 \\  \n --b 2",
        "python -m openrlhf.cli.train_ppo_ray\n --a 1\n\n --b 2",
        "python -m openrlhf.cli.train_ppo_ray --a 1 \\ # first\n --b 2",
        "python -m openrlhf.cli.train_ppo_ray --a 1 \\\n # --c 3\n --b 2 \\\n # ... other args",
        "python -m openrlhf.cli.train_ppo_ray --a 1 \\\n --b 2 \\\n\nray stop",
        "python -m openrlhf.cli.train_ppo_ray --a 1 --b 2 2>&1 | tee log.txt",
        "python -m openrlhf.cli.train_ppo_ray --a 1 --b 2 &> log &",
        "python -m openrlhf.cli.train_ppo_ray --a 1 --b 2 && echo done",
        "python /openrlhf/cli/train_ppo_ray.py --a 1 --b 2",
        "bash -c 'python -m openrlhf.cli.train_ppo_ray --a 1 --b 2'",
        "read -r -d '' training_commands <<EOF\nopenrlhf.cli.train_ppo_ray \\\n --a 1 \\\n --b 2\nEOF",
        "training_commands='openrlhf.cli.train_ppo_ray --a 1 --b 2'",
        "```bash\npython -m openrlhf.cli.train_ppo_ray --a 1 --b 2\n```",
        "--a 1 --b 2",
    ],
)
def test_however_it_is_pasted_the_words_are_the_same(text: str) -> None:
    assert after(text) == ["--a", "1", "--b", "2"]


def test_what_is_quoted_stays_together() -> None:
    command = 'python -m openrlhf.cli.train_ppo_ray --t "Question: {} # not a comment\\n" --u \'a "b" $C\' --v a#b'

    assert after(command) == ["--t", "Question: {} # not a comment\\n", "--u", 'a "b" $C', "--v", "a#b"]


def test_a_quoted_text_over_several_lines_is_one_word() -> None:
    text = 'ray job submit --runtime-env-json=\'{"working_dir": "/o",\n "pip": []}\' -- python -m x.train_ppo_ray --a 1'

    assert read_command(text).before[3] == '--runtime-env-json={"working_dir": "/o",\n "pip": []}'


def test_a_url_keeps_its_query_and_a_gap_its_brackets() -> None:
    text = "python -m openrlhf.cli.train_ppo_ray --u http://a/b?c=1&d=2 --m <your model> --t {token}"

    assert after(text) == ["--u", "http://a/b?c=1&d=2", "--m", "<your model>", "--t", "{token}"]


def test_variables_and_arrays_of_the_text_are_filled_in() -> None:
    found = read_command(SCRIPT)

    assert found.before == ("NCCL_DEBUG=INFO", "python3", "-m")
    assert found.after == (
        *("--pretrain", "Qwen/Qwen2.5-0.5B", "--save_path", "$…/out", "--n_samples_per_prompt", "8"),
        "${NOT_HERE[@]}",
    )


def test_a_variable_s_own_default_counts_and_one_without_a_value_stays() -> None:
    assert after("python -m openrlhf.cli.train_ppo_ray --a ${A:-7} --b $B") == ["--a", "7", "--b", "$B"]


def test_the_first_of_several_trainings_is_read() -> None:
    one = "python -m openrlhf.cli.train_ppo_ray --a 1\n"

    found = read_command(one + one.replace("1", "2"))

    assert (found.after, found.other_count) == (("--a", "1"), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no OpenRLHF training found"),
        ("python -m openrlhf.cli.train_sft --a 1", "it has to hold openrlhf.cli.train_ppo_ray"),
        ("python -m openrlhf.cli.train_ppo_ray --a 'b", "No closing quotation"),
    ],
)
def test_a_text_without_a_training_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_command(text)
