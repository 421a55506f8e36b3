"""`@reward_function`: a plain function, marked as a reward.

What arrives: the author's function and options. What leaves: the function itself, which also reads plain dicts as
messages and can be deployed. It is scored by `rayreward.function.RewardFunction`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from rayreward.errors import ConfigError, did_you_mean
from rayreward.function import Isolation, RewardFunction, check_settings
from rayreward.messages import as_messages
from rayreward.signature import Mode, read_signature

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

_OPTIONS = frozenset({"mode", "name", "isolation", "timeout_s", "memory_bytes", "deterministic"})


class DecoratedReward(Protocol[P, R]):
    """A function marked by `reward_function`: the function, and how to deploy it."""

    __name__: str
    deploy: Callable[..., Any]
    reward: Callable[..., RewardFunction]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...  # noqa: D102 - the function itself


@overload
def reward_function(func: Callable[P, R], /) -> DecoratedReward[P, R]: ...
@overload
def reward_function(
    *,
    mode: Mode | None = ...,
    name: str | None = ...,
    isolation: Isolation | None = ...,
    timeout_s: float | None = ...,
    memory_bytes: int | None = ...,
    deterministic: bool = ...,
) -> Callable[[Callable[P, R]], DecoratedReward[P, R]]: ...
def reward_function(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Mark a function as a reward. It stays the function it was, and gains `.deploy(…)`.

    Called directly, it takes chat messages as plain dicts too. Options: `mode` ("pointwise", "batch" or "group"; told
    from the parameter names where it is left out), `name`, `isolation`, `timeout_s`, `memory_bytes`, `deterministic`
    (the same sample always scores the same, so that a served answer may be reused).

    Raises:
        ConfigError: an option is unknown, or the function takes no parameter that a sample can fill.

    Example:
        >>> @reward_function
        ... def exact(messages, label=None, **kwargs):
        ...     return float(messages[-1].content == label)
        >>> exact([{"role": "assistant", "content": "4"}], label="4")
        1.0
    """
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ConfigError(
            f"reward_function has no option {sorted(unknown)[0]!r}; {did_you_mean(sorted(unknown)[0], _OPTIONS)}"
        )
    if options.get("mode") not in (None, *get_args(Mode)):
        raise ConfigError(f"reward_function(mode={options['mode']!r}): known modes are {', '.join(get_args(Mode))}")
    check_settings("reward_function", options)
    if func is None:
        return lambda decorated: _decorate(decorated, options)
    return _decorate(func, options)


def _decorate(func: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    is_batch = read_signature(func, mode=options.get("mode")).mode != "pointwise"
    readable: Callable[[Any], Any] = (lambda chats: [_readable(chat) for chat in chats]) if is_batch else _readable
    is_first = next(iter(inspect.signature(func).parameters)) == "messages"

    def prepare(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args and is_first:
            args = (readable(args[0]), *args[1:])
        return args, {key: readable(value) if key in _CHATS else value for key, value in kwargs.items()}

    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = prepare(args, kwargs)
            return await cast(Awaitable[Any], func(*args, **kwargs))

        decorated: Any = call_async
    else:

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = prepare(args, kwargs)
            return func(*args, **kwargs)

        decorated = call
    decorated.__rayreward__ = dict(options)
    decorated.__rayreward_function__ = func
    decorated.reward = functools.partial(RewardFunction, decorated)
    decorated.deploy = functools.partial(_deploy, decorated)
    return decorated


_CHATS = ("messages", "original_messages")


def _readable(chat: Any) -> Any:
    """A conversation whose messages can be read as attributes too; anything else as it is."""
    return list(as_messages(chat)) if isinstance(chat, (list, tuple)) else chat


def _deploy(func: Callable[..., Any], **options: Any) -> Any:
    """Ship the function to the running Ray cluster; see `rayreward.serve.deploy`."""
    from rayreward.serve.deploy import deploy

    return deploy(func, **options)
