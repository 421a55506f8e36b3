from __future__ import annotations

import pickle

import pytest

from rayreward.calling.keys import ServiceKey
from rayreward.errors import AuthenticationError


def test_a_key_is_read_anew_each_time_without_the_line_break_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ServiceKey(variable="SOME_KEY")
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert (key.read(), key.headers()) == ("", {})
    for written, read in (("first\n", "first"), ("  second", "second")):
        monkeypatch.setenv("SOME_KEY", written)
        assert key.headers() == {"Authorization": f"Bearer {read}"}


def test_one_that_was_given_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "other")
    assert ServiceKey("given", "SOME_KEY").read() == "given"
    assert ServiceKey("", "SOME_KEY").read() == ""


@pytest.mark.parametrize("key", ["se cret", "secr\u00e9t", "se\ncret", "se\x00cret"])
def test_one_that_cannot_be_sent_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(AuthenticationError, match="the api_key that was given has a space") as refused:
        ServiceKey(key).headers()
    assert key not in str(refused.value)


def test_it_is_in_no_text_and_travels() -> None:
    key = ServiceKey("secret")
    assert "secret" not in repr(key)
    assert key.hidden("401: secret is wrong") == "401: \u2026 is wrong"
    assert ServiceKey().hidden("as it was") == "as it was"
    assert pickle.loads(pickle.dumps(key)).read() == "secret"
