"""Programs in a sandbox elsewhere: a service that speaks SandboxFusion's HTTP.

What arrives: programs. What leaves: ``POST <url>/run_code``, and what it answered. The tests stay here: a call of a
Python program is a run of its own, whose input is the arguments and whose output, read as hostile, is the value. So a
program remembers nothing between two calls there, and tests that keep objects of its own need the sandbox of this
machine. What isolates programs there, that service knows.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from rayreward.programs.errors import GradingError
from rayreward.programs.executor import Answering, Run, RunLimits, RunOnInput
from rayreward.programs.languages import Language
from rayreward.programs.stub import ANSWER
from rayreward.sandbox import Ended, Finished, Opaque, Raised, Returned, Tier
from rayreward.sandbox.inside.codec import MAX_COLLISIONS, MAX_DEPTH
from rayreward.types import FailureKind

_NAMES = {"javascript": "nodejs"}
"""What SandboxFusion calls a language, where that differs."""

_ANSWER_GRACE_S = 15.0
"""Beyond a run's own time: for the service to queue it, and to answer."""

_OVERHEAD_BYTES = 2**20
"""Of an answer besides the outputs: its keys, and the JSON escapes of ordinary text."""


class RemoteExecutor:
    """Runs programs by a SandboxFusion-compatible service.

    Args:
        url: the service's root; ``/run_code`` is asked below it.
        limits: sent along; the service has limits of its own besides.
    """

    def __init__(self, url: str, limits: RunLimits) -> None:
        self._url, self._limits = url.rstrip("/"), limits
        self._http = httpx.Client()

    @property
    def description(self) -> Mapping[str, str]:
        """Where programs run; which isolation that is, is not known here."""
        return {"executor": "remote", "tier": "remote"}

    def start(self) -> None:
        """Nothing: a service that is not there yet fails samples as `unavailable`, not the reward."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def prepare(self, language: Language, source: str) -> RunOnInput | Run:
        """Each run compiles anew there."""
        return lambda stdin: self.run(language.name, source, stdin, self._limits.time_s)

    def open(self, source: str) -> Answering:
        """A candidate whose every call is a run."""
        return _RemoteCandidate(self, source)

    def run(self, language: str, source: str, stdin: str, time_s: float) -> Run:
        """One run.

        Raises:
            GradingError: the service cannot be reached, refuses, or answers something else.
        """
        body = {
            "code": source,
            "language": _NAMES.get(language, language),
            "stdin": stdin,
            "files": {},
            "compile_timeout": self._limits.compile_s,
            "run_timeout": time_s,
        }
        limit_s = time_s + self._limits.compile_s + _ANSWER_GRACE_S
        try:
            content = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            with self._http.stream(
                "POST", f"{self._url}/run_code", content=content, headers=headers, timeout=limit_s
            ) as response:
                answer = self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GradingError(
                FailureKind.UNAVAILABLE, f"the remote sandbox at {self._url} cannot be asked: {error or type(error)}"
            ) from error
        return self._run_of(answer)

    def _read(self, response: httpx.Response) -> Any:
        most = 8 * self._limits.output_bytes + _OVERHEAD_BYTES  # JSON may write a byte as six
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > most:
                raise GradingError(
                    FailureKind.UNAVAILABLE, f"the remote sandbox at {self._url} answered more than {most} bytes"
                )
        if response.status_code != 200:
            raise GradingError(
                FailureKind.UNAVAILABLE,
                f"the remote sandbox at {self._url} answered {response.status_code}: {bytes(content[:200])!r}",
            )
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._strange(bytes(content)) from None

    def _strange(self, answer: Any) -> GradingError:
        return GradingError(
            FailureKind.UNAVAILABLE,
            f"what answers at {self._url}/run_code is no SandboxFusion: {answer!r:.200}",
        )

    def _run_of(self, answer: Any) -> Run:
        if not isinstance(answer, Mapping) or answer.get("status") not in ("Success", "Failed", "SandboxError"):
            raise self._strange(answer)
        if answer["status"] == "SandboxError":
            raise GradingError(
                FailureKind.UNAVAILABLE, f"the remote sandbox at {self._url} failed: {answer.get('message')!r:.200}"
            )
        compiled, ran = answer.get("compile_result"), answer.get("run_result")
        if isinstance(compiled, Mapping) and (compiled.get("status") != "Finished" or compiled.get("return_code")):
            return Run("compile_error", detail=str(compiled.get("stderr") or compiled.get("status"))[:200])
        if not isinstance(ran, Mapping):
            raise self._strange(answer)
        printed = str(ran.get("stdout") or "")
        most = self._limits.output_bytes
        errors = str(ran.get("stderr") or "").rstrip().rpartition("\n")[2][:200]
        if ran.get("status") == "TimeLimitExceeded":
            return Run("timeout", printed[:most], None, errors)
        code = ran.get("return_code")
        if ran.get("status") != "Finished" or not isinstance(code, int):
            raise self._strange(answer)
        return Run("exited", printed[:most], code, errors, len(printed) > most)


class _RemoteCandidate:
    """A Python program there; see `rayreward.programs.executor.Answering`."""

    def __init__(self, executor: RemoteExecutor, source: str) -> None:
        self._executor, self._source = executor, _MAIN.replace(_PLACE, repr(source))
        self.loaded: Returned | Raised | Ended = Returned(None)  # known with the first call, which loads it too

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, within_s: float
    ) -> Returned | Raised | Ended:
        """Run the program with this one call."""
        mark = secrets.token_hex(16)
        request = json.dumps([mark, to_json(list(args)), to_json(dict(kwargs))])
        run = self._executor.run("python", self._source, request + "\n", within_s)
        if run.status != "exited":
            return Ended(_finished(run))
        for line in reversed(run.stdout.split("\n")):
            if line.startswith(mark):
                return _answer_of(line[len(mark) :])
        if run.exit_code:
            return Raised("RuntimeError", run.detail)
        return Ended(_finished(run))

    def close(self) -> None:
        """Nothing runs between calls."""


def _finished(run: Run) -> Finished:
    ended = run.status if run.status in ("timeout", "out_of_memory", "killed") else "exited"
    return Finished(run.exit_code, None, b"", b"", ended, run.was_cut, 0.0, 0.0, Tier.NONE, note=run.detail)


def _answer_of(line: str) -> Returned | Raised:
    try:
        kind, value = json.loads(line)
        if kind == "raised":
            type_name, message = value
            return Raised(str(type_name)[:200], str(message)[:500])
        answer = from_json(value)
    except (ValueError, TypeError, RecursionError, KeyError) as error:
        return Raised("CodecError", f"what it answered is no value: {error}"[:200])
    told = answer[1] if isinstance(answer, list) and answer[:1] == ["awaited"] and len(answer) == 2 else answer
    if isinstance(told, list) and told[:1] == ["object"]:
        raise GradingError(
            FailureKind.INVALID_INPUT,
            "a test works on objects of the program's own, which a remote sandbox does not keep; "
            "use executor='sandbox'",
        )
    return Returned(answer)


def to_json(value: Any) -> Any:
    """A plain value as JSON holds it: a list of its kind and its parts, where JSON has no such kind.

    Example:
        >>> to_json((1, "a", None))
        ['tuple', [1, 'a', None]]
        >>> from_json(to_json({1: {2.5}, "b": [b"x"]}))
        {1: {2.5}, 'b': [b'x']}
    """
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 2**63 else ["int", hex(value)]
    if kind is float:
        return ["float", value.hex()]
    if kind is complex:
        return ["complex", [value.real.hex(), value.imag.hex()]]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, [to_json(one) for one in value]]
    if kind is dict:
        return ["dict", [[to_json(key), to_json(one)] for key, one in value.items()]]
    return ["opaque", kind.__name__]


def from_json(value: Any, depth_left: int = MAX_DEPTH) -> Any:
    """The value that `to_json` was given.

    Raises:
        ValueError: it is no such value, or too deep. Nothing of a hostile one is run.
    """
    if value is None or type(value) in (bool, str, int):
        return value
    if not isinstance(value, list) or len(value) != 2 or not depth_left:
        raise ValueError("no plain value")
    kind, parts = value
    if kind == "int":
        return int(parts, 16)
    if kind == "float":
        return float.fromhex(parts)
    if kind == "complex":
        return complex(float.fromhex(parts[0]), float.fromhex(parts[1]))
    if kind == "bytes":
        return bytes.fromhex(parts)
    if kind == "opaque":
        return Opaque(str(parts)[:200])
    if kind == "dict":
        pairs = [(from_json(key, depth_left - 1), from_json(one, depth_left - 1)) for key, one in parts]
        _check_hashes([key for key, _ in pairs])
        return dict(pairs)
    makers: dict[Any, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    if kind not in makers:
        raise ValueError(f"no plain value is a {kind!r:.40}")
    members = [from_json(one, depth_left - 1) for one in parts]
    if kind in ("set", "frozenset"):
        _check_hashes(members)
    return makers[kind](members)


def _check_hashes(keys: Sequence[Any]) -> None:
    """Refuse keys that were chosen to have one hash: a hundred thousand of them would be compared for minutes."""
    seen = Counter(map(hash, keys))
    if seen and max(seen.values()) > MAX_COLLISIONS:
        raise ValueError(f"more than {MAX_COLLISIONS} keys with one hash")


def _source_of_codec() -> str:
    """`to_json` and `from_json` as they stand here: the program's side has the standard library only."""
    import inspect

    return "\n".join(inspect.getsource(function) for function in (to_json, from_json, _check_hashes))


_PLACE = "THE_PROGRAM"

_MAIN = f"""
def __rayreward_main__():
    import collections, json, sys, types
    space = {{"MAX_DEPTH": {MAX_DEPTH}, "MAX_COLLISIONS": {MAX_COLLISIONS}, "Opaque": object, "Any": object}}
    space |= {{"Counter": collections.Counter, "Sequence": collections.abc.Sequence}}
    exec({_source_of_codec()!r}, space)
    mark, args, kwargs = json.loads(sys.stdin.readline())
    program = sys.modules["program"] = types.ModuleType("program")
    exec(compile({_PLACE}, "program.py", "exec"), program.__dict__)
    try:
        value = program.{ANSWER}(*space["from_json"](args), **space["from_json"](kwargs))
        answer = ["value", space["to_json"](value)]
    except BaseException as error:
        answer = ["raised", [type(error).__name__, str(error)[:500]]]
    sys.stdout.write("\\n" + mark + json.dumps(answer) + "\\n")
    sys.stdout.flush()

__rayreward_main__()
"""
"""What a run runs: the program, as an import would, and then the call that standard input asks for."""
