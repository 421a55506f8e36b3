"""A Python candidate: a process that has executed a source and answers calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rayreward.sandbox.inside.codec import CodecError
from rayreward.sandbox.inside.frames import frame
from rayreward.sandbox.running import RunningProgram
from rayreward.sandbox.values import Ended, Finished, Raised, Returned


class Candidate:
    """A source in a process of its own, whose functions can be called.

    One call at a time; any thread may make it. Values travel as plain ones, both ways: None, bool, int, float, complex,
    str, bytes, list, tuple, dict, set, frozenset of exactly these types, and `Opaque` in place of anything else. A
    candidate can lie about what its own functions return, and about nothing else.

    Attributes:
        loaded: what became of executing the source: `Returned(None)`, `Raised`, or `Ended`.
    """

    def __init__(self, program: RunningProgram, *, loaded_by_s: float) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._call_count = 0
        self._ended: Ended | None = None
        self.loaded: Returned | Raised | Ended = self._answer(0, loaded_by_s)

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, within_s: float
    ) -> Returned | Raised | Ended:
        """Call a global of the source; dots lead to attributes (``Solution.solve``).

        A call that takes longer than `within_s` ends the candidate. After `Ended`, every call is the same `Ended`.
        """
        with self._lock:
            if self._ended is not None:
                return self._ended
            deadline_s = time.monotonic() + within_s
            try:
                content = frame((self._call_count + 1, name, tuple(args), dict(kwargs)))
            except CodecError as error:
                return Raised("CodecError", f"the arguments cannot be sent: {error}")
            self._call_count += 1
            self._program.send(content, deadline_s)
            return self._answer(self._call_count, deadline_s)

    def _answer(self, number: int, deadline_s: float) -> Returned | Raised | Ended:
        try:
            return _outcome(self._program.receive(deadline_s), number)
        except TimeoutError:
            reason = "deadline"
        except EOFError:
            reason = "it closed its connection"
        except CodecError as error:
            reason = f"it said what is no answer: {error}"
        self._ended = Ended(self._program.end(reason))
        return self._ended

    def stdout_tail(self, size_bytes: int = 4096) -> bytes:
        """The last of what it has printed so far."""
        with self._lock:
            return self._program.stdout_tail(size_bytes)

    def close(self) -> Finished:
        """Kill it, remove what it left, and say how it ended; closing again says the same."""
        with self._lock:
            if self._ended is None:
                self._ended = Ended(self._program.end("closed"))
            return self._ended.finished

    def __enter__(self) -> Candidate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _outcome(said: Any, number: int) -> Returned | Raised:
    """What a frame says, where it says what can be said.

    Raises:
        CodecError: it does not.
    """
    match said:
        case (int(answered), "returned", value) if answered == number:
            return Returned(value)
        case (int(answered), "raised", str(name), str(message), int() | None as line) if answered == number:
            return Raised(name[:200], message[:500], line)
    raise CodecError("neither a value nor an error")
