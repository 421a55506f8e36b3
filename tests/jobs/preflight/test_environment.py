import pytest

from rayreward.jobs.preflight.environment import check_environment
from rayreward.jobs.render import RenderedJob

FORTY_HEX = "0123456789abcdef0123456789abcdef01234567"


def check(env_vars: dict[str, str] | None = None, *words: str, url: str = "http://r:1/get_reward") -> list[str]:
    job = RenderedJob("test", "r", ("python", "-m", "trainer", *words), env_vars or {}, reward_urls=(url,))
    return [str(finding) for finding in check_environment(job)]


@pytest.mark.parametrize(
    "value",
    [
        "sk-proj-abcdefghijklmnopqrstuvwxyz0123",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
        "https://user:ghp_abcdefghijklmnopqrstuvwxyz0123456789@host/",
        "AKIAABCDEFGHIJKLMNOP",
    ],
)
def test_a_secret_is_known_by_its_value_and_never_repeated(value: str) -> None:
    (found,) = check({"MODEL_SOURCE": value})

    assert "env_vars.MODEL_SOURCE looks like a secret" in found
    assert value not in found


def test_a_key_of_wandb_is_known_by_name_and_form_together() -> None:
    assert len(check({"WANDB_LOGIN": FORTY_HEX})) == 1
    assert check({"CODE_VERSION": FORTY_HEX, "WANDB_MODE": "offline"}) == []


def test_a_secret_is_told_once() -> None:
    (found,) = check({"HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyzABCDEF"})

    assert "HF_TOKEN looks like a secret" in found


def test_a_secret_on_the_command_line_is_told_by_the_flag_before_it() -> None:
    (found,) = check(None, "--logger.wandb.org", "me", "--judge.key", "sk-abcdefghijklmnopqrstuvwxyz")

    assert "after --judge.key looks like a secret" in found


def test_a_password_in_the_reward_s_url_is_found() -> None:
    (found,) = check(url="http://user:hunter2@reward:8000/get_reward")

    assert "the reward at reward holds a password" in found
    assert "hunter2" not in found


def test_an_ordinary_environment_has_no_findings() -> None:
    assert check({"PYTHONPATH": "/a:/b", "NCCL_SOCKET_IFNAME": "eth0", "TOKENIZER_PATH": "/sk-models"}) == []
