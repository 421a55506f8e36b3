from __future__ import annotations

import pytest

from rayreward import HttpClient
from rayreward.client import connect
from rayreward.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "url", "reward"),
    [
        ({"name": "quality"}, "http://127.0.0.1:8000", "quality"),
        ({"name": "quality", "endpoint": "https://h/"}, "https://h", "quality"),
        ({"endpoint": "http://h:1/v1/rewards/quality"}, "http://h:1/v1/rewards/quality", ""),
        ({"endpoint": " <http://h:1/reward> "}, "http://h:1/reward", ""),
        ({"endpoint": "http://h:1/quality/get_reward"}, "http://h:1/quality", ""),
        ({"endpoint": "http://h:1/get_reward/"}, "http://h:1", ""),
    ],
)
def test_finds_the_way(options: dict[str, str], url: str, reward: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYREWARD_URL", raising=False)
    client, name = connect(**options)
    assert isinstance(client, HttpClient)
    assert (client._url, name) == (url, reward)


def test_the_environment_says_where_the_service_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYREWARD_URL", "http://cluster:8000")
    client, _ = connect("quality")
    assert isinstance(client, HttpClient)
    assert client._url == "http://cluster:8000"


@pytest.mark.parametrize("options", [{}, {"endpoint": "h:8000"}, {"endpoint": "ftp://h"}, {"endpoint": ""}])
def test_refuses_what_leads_nowhere(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="http://"):
        connect(**options)
