from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rayreward.cli import doctor
from rayreward.cli.surroundings import Surroundings, look_around
from tests.cli.conftest import Run
from tests.cli.service import length_service
from tests.cli.test_checks import HEALTHY


def set_surroundings(monkeypatch: pytest.MonkeyPatch, around: Surroundings) -> None:
    monkeypatch.setattr(doctor, "look_around", lambda _endpoint: around)


def test_a_healthy_machine_ends_with_0(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    set_surroundings(monkeypatch, HEALTHY)
    ended = run("doctor")
    assert ended.code == 0
    assert "0 errors, 0 warnings" in ended.out


def test_an_error_ends_with_1_and_shows_the_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    set_surroundings(monkeypatch, replace(HEALTHY, versions={**HEALTHY.versions, "protobuf": "7.36.2"}))
    ended = run("doctor")
    assert ended.code == 1
    assert "pip install 'protobuf<7'" in ended.out


def test_warnings_alone_end_with_0(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    set_surroundings(monkeypatch, replace(HEALTHY, busy_ports=frozenset({8000})))
    assert run("doctor").code == 0


def test_json_says_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    set_surroundings(monkeypatch, replace(HEALTHY, core_count=1))
    document = json.loads(run("doctor", "--json").out)
    assert document["ok"] is True
    [warning] = [finding for finding in document["findings"] if finding["level"] == "warn"]
    assert (warning["check"], warning["found"]) == ("cores", "1")


def test_this_machine_can_be_looked_at() -> None:
    around = look_around()
    assert around.python >= (3, 11)
    assert around.versions["ray"]
    assert "ray" in around.requirements[""]
    assert around.core_count >= 1
    assert around.service is None


def test_a_service_is_asked_for_what_it_serves() -> None:
    with length_service() as service:
        found = look_around(service.url).service
    assert found is not None
    assert found.rewards == {"length": "ready"}


def test_a_service_that_is_not_there_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayreward.cli.surroundings.SERVICE_LIMIT_S", 0.01)
    found = look_around("http://127.0.0.1:9").service
    assert found is not None
    assert "cannot be reached" in (found.error or "")
