from __future__ import annotations

import pytest

from rayreward.client.applications import choose_application
from rayreward.errors import ServiceUnavailableError

OURS, OTHERS = ["router", "math"], ["ingress"]


@pytest.mark.parametrize(
    ("wanted", "applications", "reward", "chosen"),
    [
        ("mine", {"mine": OURS, "rewards": OURS}, None, "mine"),
        ("auto", {"anything": OURS, "web": OTHERS}, None, "anything"),
        ("auto", {"default": OURS, "tidy": ["router", "tidy"]}, None, "default"),
        ("auto", {"default": OURS, "rewards": OURS}, None, "rewards"),
        ("auto", {"default": OURS, "tidy": ["router", "tidy"]}, "tidy", "tidy"),
        ("auto", {"default": OURS, "other": OURS}, "math", "default"),
    ],
)
def test_the_application_that_can_be_meant(
    wanted: str, applications: dict[str, list[str]], reward: str | None, chosen: str
) -> None:
    assert choose_application(wanted, applications, reward=reward) == chosen


@pytest.mark.parametrize(
    ("wanted", "applications", "message"),
    [
        ("auto", {}, r"no application of rewards runs .* serve run deployments/"),
        ("auto", {"web": OTHERS}, "no application of rewards runs"),
        ("auto", {"a": OURS, "b": OURS}, r"several .* name one of a, b"),
        ("web", {"web": OTHERS, "default": OURS}, r"'web' is none of rayreward's.*default"),
        ("reward", {"rewards": OURS}, r"'reward' does not run .* did you mean 'rewards'"),
    ],
)
def test_what_cannot_be_meant_says_what_runs(wanted: str, applications: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ServiceUnavailableError, match=message):
        choose_application(wanted, applications)
