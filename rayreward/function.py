"""Rewards as Python functions and classes.

What arrives: a function, a file's address, a served reward's name, or a subclass with `compute_reward`.
What leaves: a `RewardFunction`, whose every way of scoring gives `RewardOutput` values: one a sample, in order.
An exception of the author's code is turned into a failure here, at the boundary that it crossed.

How samples reach a function: see `rayreward.signature`. Deadlines and killing: see `rayreward.workers`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from rayreward.batches import OutputBatch
from rayreward.boundary import AUTHORS_ERRORS, Answer, outputs_of, pass_on_cancellation
from rayreward.condition import Condition
from rayreward.errors import ConfigError, DeadlineError, InvalidInputError, ServiceUnavailableError
from rayreward.grouping import missing_members, positions_of_groups
from rayreward.loading import load_object
from rayreward.messages import as_messages
from rayreward.outcome import failed_output, to_output, to_outputs
from rayreward.sample import Sample, Trajectory
from rayreward.signature import Signature, read_signature
from rayreward.types import RewardOutput
from rayreward.versioning import content_version

if TYPE_CHECKING:
    from rayreward.client import RewardClient
    from rayreward.client.run import RunClient
    from rayreward.trainers.trl import AsyncTrlReward, OnFailure, TrlReward

Isolation = Literal["process", "thread", "inline"]
"""Where a reward runs in its replica: a killable process, one thread (models), or the event loop (trivial, async)."""


_NOT_CONTENT = frozenset({"name", "isolation", "timeout_s", "memory_bytes"})
"""Settings that say how a reward is called and run, not what it answers."""


_HOSTED = ("hosted", "fireworks_hosted")


class RewardFunction:
    """A reward: from a function, an address, a served reward, or by subclassing.

    Subclasses write ``compute_reward(self, trajectory)`` (sync or async, returning anything that
    `rayreward.outcome.to_output` takes), or ``compute_group(self, samples)`` to compare all samples of a prompt, and
    need not call ``super().__init__``.

    Args:
        func: the function; see `rayreward.signature` for the parameters it may take.
        func_path: ``file.py::name`` or ``package.module:name`` instead.
        name: what the reward is called; with ``mode="remote"`` the served reward to call.
        endpoint: with ``mode="remote"``, the service's URL, with or without the reward's own path.
        mode: "local" runs the code here, "remote" asks a service, "hosted" makes a
            `rayreward.models.hosted.HostedRewardModel` (which has further arguments: model_id, base_url, api, …);
            "fireworks_hosted" is the same at Fireworks.
        isolation: where it runs when it is served; a killable process by default.
        timeout_s: seconds that one sample (pointwise) or one call (batch) may take when it is served.
        memory_bytes: what its killable process may take beside what is loaded, when it is served; 4 GiB by default.
        token: with ``mode="remote"``, the bearer token; else the environment's RAYREWARD_TOKEN.
        arguments: further keyword arguments are handed to the function at every call.

    Raises:
        ConfigError: none or several of func, func_path and a remote name or endpoint were given, or a setting or an
            argument that means nothing there.

    Example:
        >>> reward = RewardFunction(func=lambda response, label: float(response == label))
        >>> reward(messages=[{"role": "assistant", "content": "4"}], label="4").score
        1.0
    """

    isolation: Isolation = "process"
    timeout_s: float = 30.0
    memory_bytes: int = 4 * 2**30
    deterministic: bool = False
    counts_by_run: bool = False  # the router then puts the asking run's name into samples' metadata, as "run"
    name: str = ""

    _function: Callable[..., Any] | None = None
    _signature: Signature | None = None
    _remote: RewardClient | None = None
    _version: str | None = None
    arguments: Mapping[str, Any] = {}

    def __new__(cls, *_args: Any, **arguments: Any) -> Self:
        """A hosted reward model where one is asked for: a class of its own, since it shares nothing with functions."""
        if cls is RewardFunction and arguments.get("mode") in _HOSTED:
            from rayreward.models.hosted import HostedRewardModel  # models are a layer above

            return cast(Self, super().__new__(HostedRewardModel))
        return super().__new__(cls)

    def __init__(
        self,
        func: Callable[..., Any] | None = None,
        *,
        func_path: str | None = None,
        name: str | None = None,
        endpoint: str | None = None,
        mode: Literal["local", "remote", "hosted", "fireworks_hosted"] | None = None,
        isolation: Isolation | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        token: str | None = None,
        **arguments: Any,
    ) -> None:
        given = {"isolation": isolation, "timeout_s": timeout_s, "memory_bytes": memory_bytes}
        check_settings("RewardFunction", given)
        self.memory_bytes = memory_bytes or self.memory_bytes
        if type(self) is not RewardFunction and func is None and func_path is None:
            self._take_settings(name, isolation, timeout_s, arguments)
            return
        is_remote = mode == "remote" or (mode is None and endpoint is not None)
        if mode not in (None, "local", "remote"):
            raise ConfigError(
                f"{type(self).__name__}(mode={mode!r}): known modes are 'local' and 'remote'; 'hosted' and "
                f"'fireworks_hosted' are RewardFunction's own"
            )
        if is_remote == (func is not None or func_path is not None) or (func is not None and func_path is not None):
            raise ConfigError(
                "RewardFunction takes one of func=…, func_path='file.py::name', "
                "or mode='remote' with name=… or endpoint=…"
            )
        self.arguments = arguments
        if timeout_s is not None:
            self.timeout_s = timeout_s
        if is_remote:
            if arguments:
                raise ConfigError(
                    f"a remote reward takes no argument {sorted(arguments)[0]!r}: configure it where it is served"
                )
            self._connect(name, endpoint, token)
            return
        target: Any = load_object(func_path) if func_path is not None else func
        if isinstance(target, RewardFunction) or (isinstance(target, type) and issubclass(target, RewardFunction)):
            raise ConfigError(f"{func_path or target!r} is a reward already: use it directly, or rayreward.load_reward")
        if not callable(target):
            raise ConfigError(f"{func_path or func!r} is no function but {type(target).__name__}")
        declared: Mapping[str, Any] = getattr(target, "__rayreward__", {})
        function: Callable[..., Any] = getattr(target, "__rayreward_function__", target)
        self._function = function
        self._signature = read_signature(function, mode=declared.get("mode"), configured=arguments)
        self.name = str(name or declared.get("name") or getattr(target, "__name__", type(target).__name__))
        self.isolation = isolation or declared.get("isolation") or self.isolation
        self.timeout_s = timeout_s or declared.get("timeout_s") or self.timeout_s
        self.memory_bytes = memory_bytes or declared.get("memory_bytes") or self.memory_bytes
        self.deterministic = bool(declared.get("deterministic", False))

    def _take_settings(
        self, name: str | None, isolation: Isolation | None, timeout_s: float | None, arguments: Mapping[str, Any]
    ) -> None:
        """What a subclass without an ``__init__`` of its own may be made with."""
        if arguments:
            raise ConfigError(
                f"{type(self).__name__} takes no argument {sorted(arguments)[0]!r}: it defines no __init__"
            )
        self.name = name or self.name
        self.isolation = isolation or self.isolation
        self.timeout_s = timeout_s or self.timeout_s

    def _connect(self, name: str | None, endpoint: str | None, token: str | None) -> None:
        from rayreward.client import connect  # the client is a layer above; only remote rewards need it

        self._remote, self.name = connect(name, endpoint=endpoint, token=token)
        self.isolation = "inline"

    def compute_reward(self, trajectory: Trajectory) -> Any:
        """The reward of one sample; what subclasses write. May be ``async def``."""
        raise NotImplementedError(
            f"{type(self).__name__} must define compute_reward(self, trajectory), or compute_group(self, samples)"
        )

    def compute_group(self, samples: Sequence[Sample]) -> Any:
        """The rewards of all samples of a prompt, in order; what subclasses write that compare them.

        May be ``async def``. It is called with whole groups only, and returns what a batch reward may return.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_group(self, samples)")

    def load(self) -> None:
        """Prepare what scoring needs (weights, tables). Called once a replica, before the first sample."""

    def unload(self) -> None:
        """Release what `load` has taken (a device). Called once, after the last sample; nothing by default."""

    @property
    def serving_condition(self) -> Condition:
        """How it is: what it does while it loads, and whether it can still score. Read from any thread."""
        return Condition()

    @property
    def version(self) -> str:
        """Content hash of code, configuration and weights: twelve hexadecimal digits."""
        if self._version is not None:
            return self._version
        if self._function is not None:
            return content_version(self._function, self.arguments)
        settings = {
            key: value for key, value in vars(self).items() if not key.startswith("_") and key not in _NOT_CONTENT
        }
        return content_version(type(self), settings)

    def __getstate__(self) -> dict[str, Any]:
        # The process that unpickles code sent by value lacks its module, and would hash something else.
        return {**vars(self), "_version": self.version}

    @property
    def scores_one_by_one(self) -> bool:
        """Whether samples are scored by calls of their own, so that a hang or a crash has one culprit."""
        return type(self).ascore is RewardFunction.ascore and self._remote is None and not self.scores_batches

    @property
    def scores_batches(self) -> bool:
        """Whether one call of the author's code takes a whole batch, or a whole group."""
        return self.compares_groups or (self._signature is not None and self._signature.mode != "pointwise")

    @property
    def is_plain(self) -> bool:
        """Whether each sample is a call of the author's code, which is not async, and nothing else."""
        return type(self).ascore is RewardFunction.ascore and self.scores_one_by_one and not self.is_async

    @property
    def parts_run_apart(self) -> bool:
        """Whether it is made of rewards which, served, run each where its own isolation says."""
        return False

    @property
    def answers_each(self) -> bool:
        """Whether `answer_each` says each output while others are under way: code that is async can."""
        is_own = type(self).ascore is not RewardFunction.ascore or self._remote is not None
        return self.is_async and not is_own and (self.compares_groups or not self.scores_batches)

    @property
    def only_waits(self) -> bool:
        """Whether a sample under way costs its replica nothing: it waits for somebody else."""
        return self.answers_each and self.isolation == "inline"

    @property
    def scores_in_turn(self) -> bool:
        """Whether a second call, on the same thread or event loop, waits for the first."""
        return type(self).ascore is RewardFunction.ascore and not self.is_async

    @property
    def compares_groups(self) -> bool:
        """Whether one call takes all samples of a prompt, and nothing less."""
        if self._signature is not None:
            return self._signature.mode == "group"
        return type(self).compute_group is not RewardFunction.compute_group

    @property
    def is_async(self) -> bool:
        """Whether the author's code is ``async def``, or another service's."""
        own = self.compute_group if self.compares_groups else self.compute_reward
        return self._remote is not None or _is_coroutine_function(self._function or own)

    @property
    def description(self) -> str | None:
        """The first line of the author's docstring."""
        text = (self._function if self._function is not None else type(self)).__doc__
        return inspect.cleandoc(text).partition("\n")[0] or None if text else None

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Score `samples`: one output each, in order; a failure never stops its neighbours.

        A remote reward whose service is lost fails its samples too; one that does not exist, or a wrong token, raises.
        """
        if not samples:
            return []
        if self._remote is not None:
            try:
                return await self._remote.ascore(samples, reward=self.name)
            except (ServiceUnavailableError, DeadlineError) as error:
                return [failed_output(error)] * len(samples)
        if self.compares_groups:
            return await outputs_of(self, samples)
        if self.scores_batches:
            return await self._score_batch(samples)
        return await self._finish_all(self._begin_all(samples))

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """`ascore` of a reward that `answers_each`, each output as soon as it is known: a slow one holds up no other.

        A group that is not whole has no scores: compared with fewer, they would be others. Groups of an async reward
        are compared side by side.

        Args:
            samples: what to score.
            answer: called with a position and its output, on whatever thread knows it.
        """

        async def finish(at: int, begun: RewardOutput | Awaitable[Any]) -> None:
            answer(at, begun if isinstance(begun, RewardOutput) else await self._finish(begun))

        async def compare(positions: Sequence[int]) -> None:
            members = [samples[position] for position in positions]
            compared = missing_members(members) or await self._score_batch(members, may_split=False)
            for position, output in zip(positions, compared, strict=True):
                answer(position, output)

        if self.compares_groups:
            await asyncio.gather(*map(compare, positions_of_groups(samples)))
        else:
            await asyncio.gather(*map(finish, range(len(samples)), self._begin_all(samples)))

    def _begin_all(self, samples: Sequence[Sample]) -> list[RewardOutput | Awaitable[Any]]:
        """Call the code of a reward that `scores_one_by_one`: each sample's output, or what is awaited for it.

        No coroutine a sample, where the author's code is none: it cost as much as the rest of a trivial call.
        """
        return [self._begin(sample) for sample in samples]

    async def _finish_all(self, begun: list[RewardOutput | Awaitable[Any]]) -> list[RewardOutput]:
        """The outputs of what `_begin_all` has begun, in order."""
        unfinished = {at: one for at, one in enumerate(begun) if not isinstance(one, RewardOutput)}
        if unfinished:
            finished = await asyncio.gather(*map(self._finish, unfinished.values()))
            for at, output in zip(unfinished, finished, strict=True):
                begun[at] = output
        return OutputBatch(cast(list[RewardOutput], begun))

    def score(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """`ascore` for code that is not async; a sync reward runs on the calling thread where no event loop does."""
        from rayreward.client.sync import run_here, run_sync

        return (run_sync if self.is_async else run_here)(self.ascore(samples))

    def __call__(self, messages: Any = None, original_messages: Any = None, **fields: Any) -> RewardOutput:
        """Score one conversation: ``score, components = reward(messages=…, original_messages=…)``.

        `fields` may be those of `Sample` (label, metadata, prompt, response, …); others become metadata columns.
        """
        return self.score([sample_from_call(messages, original_messages, fields)])[0]

    def get_trl_adapter(
        self, *, is_async: bool = False, on_failure: OnFailure = "none", run: str | None = None
    ) -> TrlReward | AsyncTrlReward:
        """This reward as a function for TRL's trainers: one float a completion, None where there is no score.

        Args:
            is_async: an ``async def`` callable, which TRL awaits beside other async ones.
            on_failure: "none", or "neutral" beside other reward functions; see `rayreward.trainers.trl`.
            run: the training that asks, for a remote reward's log; TRL's step travels along.
        """
        from rayreward.trainers.trl import AsyncTrlReward, TrlReward

        asked: RewardFunction | RunClient = self
        if self._remote is not None:
            from rayreward.client.run import RunClient  # as in _connect

            asked = RunClient(self._remote, reward=self.name, run=run)
        return (AsyncTrlReward if is_async else TrlReward)(asked, on_failure=on_failure)

    def _begin(self, sample: Sample) -> RewardOutput | Awaitable[Any]:
        """Call the author's code: its output, or what is to be awaited for it."""
        try:
            if self._function is None:
                value = self.compute_reward(sample)
            else:
                signature = cast(Signature, self._signature)
                value = self._function(**signature.arguments(sample, self.arguments))
        except AUTHORS_ERRORS as error:  # the boundary: whatever an author's code raises is this sample's
            return self._failed(error)
        # What it mostly is comes first: whether it can be awaited takes as long to find out as a trivial reward.
        if not isinstance(value, (float, RewardOutput)) and inspect.isawaitable(value):
            return value
        return to_output(value)

    async def _finish(self, begun: Awaitable[Any]) -> RewardOutput:
        try:
            value = await asyncio.wait_for(begun, self.timeout_s)
        except AUTHORS_ERRORS as error:  # the boundary, as above
            return self._failed(error)
        return to_output(value)

    def _failed(self, error: BaseException) -> RewardOutput:
        """The output for what an author's code raised; this task's own cancellation is raised again."""
        pass_on_cancellation(error)
        return failed_output(_named_timeout(error, self.timeout_s) if isinstance(error, TimeoutError) else error)

    async def _score_batch(self, samples: Sequence[Sample], *, may_split: bool = True) -> list[RewardOutput]:
        """One call for all; when it raises, halves are tried until the sample that breaks it is alone."""
        try:
            if self._function is None:
                value = self.compute_group(samples)
            else:
                signature = cast(Signature, self._signature)
                value = self._function(**signature.batch_arguments(samples, self.arguments))
            if inspect.isawaitable(value):
                value = await asyncio.wait_for(value, self.timeout_s)
        except AUTHORS_ERRORS as error:  # the boundary, as above
            failed = self._failed(error)
            if len(samples) == 1 or not may_split or isinstance(error, TimeoutError):
                return [failed] * len(samples)
            middle = len(samples) // 2
            return [*await self._score_batch(samples[:middle]), *await self._score_batch(samples[middle:])]
        return to_outputs(value, len(samples))


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def check_settings(where: str, settings: Mapping[str, Any]) -> None:
    """Refuse an isolation, a deadline or a limit that cannot be; `where` names the caller in the error."""
    isolation, timeout_s = settings.get("isolation"), settings.get("timeout_s")
    memory_bytes = settings.get("memory_bytes")
    if isolation is not None and isolation not in get_args(Isolation):
        raise ConfigError(f"{where}(isolation={isolation!r}): known are {', '.join(map(repr, get_args(Isolation)))}")
    if timeout_s is not None and (isinstance(timeout_s, str) or not timeout_s > 0):
        raise ConfigError(f"{where}(timeout_s={timeout_s!r}): seconds above 0 are needed")
    if memory_bytes is not None and (not isinstance(memory_bytes, int) or memory_bytes <= 0):
        raise ConfigError(f"{where}(memory_bytes={memory_bytes!r}): a whole number of bytes above 0 is needed")


def _named_timeout(error: TimeoutError, timeout_s: float) -> TimeoutError:
    return error if str(error) else TimeoutError(f"no answer within {timeout_s:g} s")


def sample_from_call(messages: Any, original_messages: Any, fields: Mapping[str, Any]) -> Sample:
    """The sample of a call by keywords.

    Raises:
        InvalidInputError: neither messages nor a response are among them.
    """
    known = {
        key: fields[key] for key in ("label", "id", "group_id", "group_size", "steps", "token_ids") if key in fields
    }
    if "ground_truth" in fields and "label" not in known:
        known["label"] = fields["ground_truth"]
    taken = {*known, "ground_truth", "metadata", "prompt", "response"}
    metadata = {**(fields.get("metadata") or {}), **{key: value for key, value in fields.items() if key not in taken}}
    if messages is not None:
        if fields.get("response") is not None or fields.get("prompt") is not None:
            raise InvalidInputError("a reward is called with messages=…, or with response=… and prompt=…, not both")
        chat = as_messages(messages)
        prefix = as_messages(original_messages) if original_messages is not None else ()
        if prefix and chat[: len(prefix)] != prefix:
            chat = (*prefix, *chat)
        return Sample(chat, metadata=metadata, **known)
    if "response" not in fields:
        raise InvalidInputError("a reward is called with messages=…, or with response=… (and prompt=…)")
    return Sample(prompt=fields.get("prompt"), response=fields["response"], metadata=metadata, **known)
