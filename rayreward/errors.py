"""Every error that rayreward raises to a caller.

    RayRewardError
    ├── ConfigError (ValueError)             a spec, a YAML file or an argument that cannot work
    ├── RewardLoadError (ImportError)        a reward's code or weights cannot be loaded
    ├── InvalidInputError (ValueError)       a sample or a request that is malformed
    │   └── RequestTooLargeError             … or over a size limit
    ├── InvalidOutputError (ValueError)      a reward returned something that is not a score
    ├── UnknownRewardError (LookupError)     no reward of that name is served
    ├── RolloutError (ValueError)            a change of versions that cannot be made from where they stand
    ├── AuthenticationError (PermissionError)
    ├── DeadlineError (TimeoutError)         an answer did not come in time
    ├── ServiceUnavailableError (ConnectionError)
    │   └── BackpressureError                … for now: try again after ``retry_after_s``
    ├── SandboxError (RuntimeError)          programs cannot be isolated here as they must be
    ├── MissingExtraError (ImportError)      an optional dependency is not installed
    └── JobError (RuntimeError)              a training job could not be started or followed

What arrives: nothing. What leaves: exceptions whose message says what was asked, what was found and what to do.
What happens to a single sample is no exception but data: see `rayreward.types.Failure`.
Every error survives pickling, because errors cross Ray's process borders.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class RayRewardError(Exception):
    """Base of all errors that rayreward raises on purpose."""


class ConfigError(RayRewardError, ValueError):
    """A specification, a YAML file or an argument that cannot work."""


class RewardLoadError(RayRewardError, ImportError):
    """A reward's code or weights cannot be loaded."""


class InvalidInputError(RayRewardError, ValueError):
    """A sample or a request that is malformed."""


class RequestTooLargeError(InvalidInputError):
    """A request over a configured size limit."""


class InvalidOutputError(RayRewardError, ValueError):
    """A reward returned something that is not a score (NaN, text, the wrong number of outputs)."""


class UnknownRewardError(RayRewardError, LookupError):
    """No reward of that name is served."""


class RolloutError(RayRewardError, ValueError):
    """A change of a reward's versions that cannot be made from where they stand."""


class AuthenticationError(RayRewardError, PermissionError):
    """The bearer token is missing or wrong."""


class DeadlineError(RayRewardError, TimeoutError):
    """An answer did not come in time."""


class ServiceUnavailableError(RayRewardError, ConnectionError):
    """The reward service cannot be reached, or has no replica to answer."""


class BackpressureError(ServiceUnavailableError):
    """The service refuses more work for now.

    Attributes:
        retry_after_s: seconds after which a new attempt makes sense.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])


class SandboxError(RayRewardError, RuntimeError):
    """Programs cannot be isolated here as strongly as was asked, or the sandbox itself broke."""


class MissingExtraError(RayRewardError, ImportError):
    """An optional dependency is not installed."""


class JobError(RayRewardError, RuntimeError):
    """A training job could not be started or followed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The clause that ends a message about an unknown word: the nearest valid one, and the list of them.

    Example:
        >>> did_you_mean("wieght", ["name", "weight"])
        "did you mean 'weight'? Known: name, weight"
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(word, names, n=1)
    listing = f"Known: {', '.join(names)}" if names else "Known: none"
    return f"did you mean {nearest[0]!r}? {listing}" if nearest else listing


def shown(value: Any) -> str:
    """`value` for an error message: short, and never an error itself (a huge integer, a broken ``__repr__``)."""
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - the boundary: whatever a foreign __repr__ raises
        return f"<{type(value).__name__} that cannot be shown>"
