from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.cli.service import LengthService, length_service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LengthService]:
    monkeypatch.delenv("RAYREWARD_TOKEN", raising=False)
    with length_service() as service:
        yield service


def test_says_what_is_granted_and_until_when(run: Run, service: LengthService) -> None:
    ended = run("prescale", "length", "--replicas", 9, "--for", 60, "--url", service.url)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "length: 4 replicas until 1970-01-01T00:01:00+00:00; 9 asked, may have 1 to 4\n"


def test_takes_a_wish_back(run: Run, service: LengthService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYREWARD_URL", service.url)
    assert run("prescale", "length", "--replicas", 0).out == (
        "length: as many replicas as its work needs; may have 1 to 4\n"
    )


def test_writes_json_for_programs(run: Run, service: LengthService) -> None:
    ended = run("prescale", "length", "--replicas", 2, "--url", service.url, "--json")
    assert json.loads(ended.out) == {
        "reward": "length",
        "asked": 2,
        "granted": 2,
        "min_replicas": 1,
        "max_replicas": 4,
        "for_s": 120.0,
        "until": "1970-01-01T00:02:00+00:00",
    }


def test_a_refusal_is_a_mistake_in_the_call(run: Run, service: LengthService) -> None:
    ended = run("prescale", "length", "--replicas", 2, "--for", 1e9, "--url", service.url)
    assert ended.code == 2
    assert "for up to 86400 s" in ended.err
