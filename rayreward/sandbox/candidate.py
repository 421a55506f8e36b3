"""A Python candidate: a process that has executed a source and answers calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rayreward.sandbox.values import Ended, Finished, Raised, Returned


class Candidate:
    """A source in a process of its own, whose functions can be called.

    One call at a time; any thread may make it. Values travel as plain ones, both ways: None, bool, int, float, complex,
    str, bytes, list, tuple, dict, set, frozenset of exactly these types, and `Opaque` in place of anything else. A
    candidate can lie about what its own functions return, and about nothing else.

    Attributes:
        loaded: what became of executing the source: `Returned(None)`, `Raised`, or `Ended`.
    """

    loaded: Returned | Raised | Ended

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, within_s: float
    ) -> Returned | Raised | Ended:
        """Call a global of the source; dots lead to attributes (``Solution.solve``).

        A call that takes longer than `within_s` ends the candidate. After `Ended`, every call is the same `Ended`.
        """
        raise NotImplementedError

    def stdout_tail(self, size_bytes: int = 4096) -> bytes:
        """The last of what it has printed so far."""
        raise NotImplementedError

    def close(self) -> Finished:
        """Kill it, remove what it left, and say how it ended; closing again says the same."""
        raise NotImplementedError

    def __enter__(self) -> Candidate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
