from __future__ import annotations

import inspect
import pickle

import cloudpickle
import pytest

from rayreward import errors
from rayreward.errors import BackpressureError, RayRewardError, did_you_mean

TREE = {name: found for name, found in vars(errors).items() if inspect.isclass(found) and issubclass(found, Exception)}

STANDARD = {
    "ConfigError": ValueError,
    "RewardLoadError": ImportError,
    "InvalidInputError": ValueError,
    "RequestTooLargeError": ValueError,
    "InvalidOutputError": ValueError,
    "UnknownRewardError": LookupError,
    "RolloutError": ValueError,
    "AuthenticationError": PermissionError,
    "DeadlineError": TimeoutError,
    "ServiceUnavailableError": ConnectionError,
    "BackpressureError": ConnectionError,
    "SandboxError": RuntimeError,
    "MissingExtraError": ImportError,
    "JobError": RuntimeError,
}


def test_every_error_has_its_standard_parent() -> None:
    assert STANDARD.keys() == TREE.keys() - {"RayRewardError"}
    for name, parent in STANDARD.items():
        assert issubclass(TREE[name], parent)
        assert issubclass(TREE[name], RayRewardError)


@pytest.mark.parametrize("name", TREE)
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_every_error_survives_pickling(name: str, dumps: object) -> None:
    error = TREE[name]("reward 'x': asked, found, do")
    twin = pickle.loads(dumps(error))  # type: ignore[operator]
    assert type(twin) is type(error)
    assert str(twin) == str(error) == "reward 'x': asked, found, do"


def test_backpressure_keeps_when_to_come_back() -> None:
    twin = pickle.loads(pickle.dumps(BackpressureError("full", retry_after_s=2.5)))
    assert (str(twin), twin.retry_after_s) == ("full", 2.5)


def test_every_error_is_in_the_drawn_tree() -> None:
    assert errors.__doc__ is not None
    assert [name for name in TREE if name not in errors.__doc__] == []


def test_an_unknown_word_is_answered_with_the_nearest_one() -> None:
    assert did_you_mean("lenght", ["length", "format"]) == "did you mean 'length'? Known: format, length"
    assert did_you_mean("zzz", ["length"]) == "Known: length"
    assert did_you_mean("zzz", []) == "Known: none"
