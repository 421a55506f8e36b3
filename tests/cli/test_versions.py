from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rayreward.testing import ScriptedReward
from tests.cli.conftest import Run
from tests.live import live_service


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("RAYREWARD_TOKEN", raising=False)
    rewards = {"math": ScriptedReward(default=1.0), "plain": ScriptedReward(default=0.0)}
    with live_service(rewards, candidates={"math": ScriptedReward(default=0.5)}) as url:
        yield url


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_every_reward_is_listed_with_its_versions(run: Run, url: str) -> None:
    ended = run("versions", "--url", url)
    assert ended.code == 0
    header, *lines = words(ended.out)
    assert header == ["reward", "is", "version", "state", "answers", "shadow"]
    assert [(line[0], line[1], *line[3:]) for line in lines] == [
        ("math", "live", "ready", "100", "%"),
        ("math", "candidate", "ready", "0", "%", "0", "%"),
        ("plain", "live", "ready", "100", "%"),
    ]
    assert lines[0][2] != lines[1][2]


def test_promoted_and_rolled_back(run: Run, url: str) -> None:
    before = json.loads(run("versions", "--url", url, "--json").out)["rewards"][0]
    promoted = json.loads(run("versions", "promote", "math", "--url", url, "--json").out)
    assert promoted["live"]["version"] == before["candidate"]["version"]
    assert "previous" in run("versions", "--url", url).out
    back = json.loads(run("versions", "--url", url, "rollback", "math", "--json").out)
    assert back["live"]["version"] == before["live"]["version"]


def test_shares_are_set_and_shown(run: Run, url: str) -> None:
    ended = run("versions", "set", "math", "--canary", 12.5, "--shadow", 100, "--url", url)
    assert words(ended.out)[1][4:] == ["87.5", "%"]
    assert words(ended.out)[2][4:] == ["12.5", "%", "100", "%"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollback", "math"], "nothing can be rolled back"),
        (["promote", "plain"], "has one version"),
        (["promote", "maht"], "did you mean 'math'"),
        (["set", "math"], "set needs canary_percent"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_with_its_reason(
    run: Run, url: str, arguments: list[str], message: str
) -> None:
    ended = run("versions", *arguments, "--url", url)
    assert ended.code == 2
    assert message in ended.err


def test_a_service_that_is_not_there_cannot_be_reached(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayreward.cli.versions._LIMIT_S", 0.01)
    assert run("versions", "--url", "http://127.0.0.1:9").code == 3
