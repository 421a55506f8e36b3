"""What tests see in place of the program: names and objects that forward to it and hold nothing of it.

What arrives: calls, attributes and assignments of test code, in a judge's process. What leaves: requests, and plain
values back. An object of the program's is known by a number only: it is equal to itself and to nothing else, so that no
``__eq__`` of a program decides a test.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import fractions
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rayreward.programs.made import ProgramError, restored
from rayreward.programs.stub import MARK
from rayreward.sandbox import Opaque

T = TypeVar("T")

Ask = Callable[[str, Any, str, Any, Any], tuple[str, Any]]
"""``ask(what, target, name, args, kwargs)``: "value" with a plain value, "made" with one that holds marks, "object"
with a number and a class's name, "awaited" with any of these three as a pair, "changed" with arguments after a call, or
"raised" with the names of an exception's classes, its own first, and its text."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes)

_MADE = (
    collections.Counter, collections.OrderedDict, collections.deque, decimal.Decimal, fractions.Fraction,
    datetime.datetime, datetime.date, datetime.timedelta, range, bytearray,
)  # fmt: skip
"""Classes of the standard library that arguments may have besides the plain ones; they are made anew over there."""


class ProgramEndedError(BaseException):
    """The program is gone. No ``except Exception`` of a test goes on after it."""


class NoPlainValueError(BaseException):
    """A test hands the program what cannot travel: the test's own fault, whatever the program does."""


class Remote:
    """A name or an object of the program."""

    __slots__ = ("_rayreward_ask", "_rayreward_name", "_rayreward_target")

    def __init__(self, ask: Ask, target: int | None, name: str) -> None:
        put = object.__setattr__
        put(self, "_rayreward_ask", ask)
        put(self, "_rayreward_target", target)
        put(self, "_rayreward_name", name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the program returns."""
        return _answer(self, "call", travelling(list(args)), travelling(kwargs))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # copying, pickling and printing look for these; none is the program's to answer
        if self._rayreward_target is None:
            return Remote(self._rayreward_ask, None, f"{self._rayreward_name}.{name}")
        return _answer(Remote(self._rayreward_ask, self._rayreward_target, name), "get", [], {})

    def __setattr__(self, name: str, value: Any) -> None:
        _answer(Remote(self._rayreward_ask, self._rayreward_target, name), "set", [travelling(value)], {})

    def __bool__(self) -> bool:
        raise TypeError("a plain value is needed, the program gave an object of its own")

    def __eq__(self, other: object) -> bool:
        one, other = _evaluated(self), _evaluated(other)
        if isinstance(one, Remote):
            return isinstance(other, Remote) and other._rayreward_target == one._rayreward_target
        return bool(one == other)

    def __hash__(self) -> int:
        return hash((self._rayreward_target, self._rayreward_name))

    def __instancecheck__(self, instance: object) -> bool:
        """Of the program's own objects, whose classes it knows; a plain value is none."""
        return _is_of_class("isinstance", instance, self)

    def __subclasscheck__(self, subclass: type) -> bool:
        return _is_of_class("issubclass", subclass, self)

    def __repr__(self) -> str:
        return f"<{self._rayreward_name or 'object'} of the program>"


def _evaluated(value: Any) -> Any:
    """A global of the program, such as a constant, as what it is."""
    is_global = isinstance(value, Remote) and value._rayreward_target is None
    return _answer(value, "get", [], {}) if is_global else value


def _is_of_class(question: str, one: Any, of_class: Remote) -> bool:
    if not isinstance(one, Remote):
        return False
    return (
        _answer(Remote(of_class._rayreward_ask, None, question), "call", [travelling(one), travelling(of_class)], {})
        is True
    )


IN_PLACE = "__rayreward_in_place__"
"""What test code calls `call_in_place` by."""


def call_in_place(function: Any, *args: Any, **kwargs: Any) -> None:
    """Call a function for what it does to its arguments: a statement of a test's, whose value nobody uses.

    Only then are the test's own lists, dicts and sets changed as the program's were. Were they always, a program could
    empty the very data that a test computes its expected value from.
    """
    if not isinstance(function, Remote) or not any(isinstance(one, _CHANGEABLE) for one in (*args, *kwargs.values())):
        function(*args, **kwargs)
        return
    kind, answer = function._rayreward_ask(
        "change",
        function._rayreward_target,
        function._rayreward_name,
        travelling(list(args)),
        travelling(kwargs),
    )
    if kind != "changed":
        _meaning(function._rayreward_ask, kind, answer)
        return
    after_args, after_kwargs = restored(answer)
    for one, after in zip(args, after_args, strict=True):
        _adopted(one, after)
    for key, after in after_kwargs.items():
        _adopted(kwargs[key], after)


_CHANGEABLE = (list, dict, set, collections.deque, bytearray)


def _adopted(one: Any, after: Any) -> Any:
    """`one` with the content of `after`, where it is a container of its kind; else `after`."""
    if _holds_opaque(after):
        return one
    if isinstance(one, (list, collections.deque)) and isinstance(after, (list, collections.deque)):
        new = [_adopted(old, value) for old, value in zip(one, after, strict=False)] + list(after)[len(one) :]
        one.clear()
        one.extend(new)
    elif isinstance(one, dict) and isinstance(after, dict):
        pairs = {key: _adopted(one[key], value) if key in one else value for key, value in after.items()}
        one.clear()
        one.update(pairs)
    elif isinstance(one, set) and isinstance(after, set):
        one.clear()
        one.update(after)
    elif isinstance(one, bytearray) and isinstance(after, bytes):
        one[:] = after
    else:
        return after
    return one


def _holds_opaque(value: Any) -> bool:
    """Whether an object of the program's is in there, which has no plain form."""
    if isinstance(value, dict):
        return any(map(_holds_opaque, value.values()))
    if isinstance(value, (list, tuple, collections.deque)):
        return any(map(_holds_opaque, value))
    return isinstance(value, Opaque)


def _answer(remote: Remote, what: str, args: Any, kwargs: Any) -> Any:
    ask = remote._rayreward_ask
    return _meaning(ask, *ask(what, remote._rayreward_target, remote._rayreward_name, args, kwargs))


def _meaning(ask: Ask, kind: str, answer: Any) -> Any:
    if kind == "value":
        return answer
    if kind == "object":
        number, class_name = answer
        return _Object(ask, number, class_name)
    if kind == "made":
        return restored(answer, with_names=True)
    if kind == "awaited":
        return _awaited(_meaning(ask, *answer))
    if kind == "raised":
        raise raised_here(*answer)
    raise ProgramError(f"an answer of another question: {kind}")


async def _awaited(value: Any) -> Any:
    """What the program's coroutine returned, which it has run already."""
    return value


class _Object(Remote):
    """An object that the program holds."""

    __slots__ = ("_rayreward_class",)

    def __init__(self, ask: Ask, number: int, class_name: str) -> None:
        super().__init__(ask, number, "")
        object.__setattr__(self, "_rayreward_class", class_name)

    # Of its special methods those whose value is judged as any other. Not `in`, an order, arithmetic, truth and
    # iteration: an object that always says yes, or something else every time, would pass for a value.
    __iter__ = None
    __contains__ = None

    def __len__(self) -> int:
        return self._ask_method("__len__", int)

    def __getitem__(self, key: Any) -> Any:
        return _answer(
            Remote(self._rayreward_ask, self._rayreward_target, "__getitem__"), "call", [travelling(key)], {}
        )

    def __str__(self) -> str:
        return self._ask_method("__str__", str)

    def __repr__(self) -> str:
        return self._ask_method("__repr__", str)

    def _ask_method(self, name: str, wanted: type[T]) -> T:
        value = _answer(Remote(self._rayreward_ask, self._rayreward_target, name), "call", [], {})
        if type(value) is not wanted:
            raise TypeError(f"{name} of the program's {self._rayreward_class} gave no {wanted.__name__}")
        return value


_MEANS_SOMETHING_HERE = ("StopIteration", "StopAsyncIteration", "GeneratorExit")
"""Were these raised in a test's loop or generator, it would end as if all had been well."""


PROGRAMS_EXCEPTIONS: dict[str, type[Exception]] = {}
"""Classes that stand here for the program's own ones that tests expect; filled in a judge's process."""


def raised_here(type_names: Sequence[str], message: str) -> Exception:
    """The exception that a test sees for one of the program: of the first of its classes that is known here."""
    for name in type_names:
        known = PROGRAMS_EXCEPTIONS.get(name) or getattr(builtins, name, None)
        if name in _MEANS_SOMETHING_HERE:
            break
        if isinstance(known, type) and issubclass(known, Exception) and known is not Exception:
            try:
                return known(message)
            except TypeError:  # UnicodeDecodeError and its like take more than a text
                break
    return ProgramError(f"{type_names[0] if type_names else 'Exception'}: {message}")


def expect(names: Sequence[str]) -> Mapping[str, type[Exception]]:
    """Classes for the program's exceptions that the tests name."""
    PROGRAMS_EXCEPTIONS.update((name, type(name, (ProgramError,), {})) for name in names)
    return PROGRAMS_EXCEPTIONS


def travelling(value: Any) -> Any:
    """`value` as the program is sent it: plain, with marks where a name, a class or an object stands.

    Raises:
        NoPlainValueError: it holds a function, or an object of the tests.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Remote):
        if value._rayreward_target is None:
            return (MARK, "global", value._rayreward_name)
        return (MARK, "object", value._rayreward_target)
    if kind in (list, tuple, set, frozenset):
        return kind(travelling(one) for one in value)
    if kind is dict:
        return {travelling(key): travelling(one) for key, one in value.items()}
    if isinstance(value, Opaque):
        raise TypeError(f"the program gave a {value.type_name}, which has no plain form")
    for name, one in vars(builtins).items():
        if one is value:
            return (MARK, "make", "builtins", name, None)
    return _made(value)


def _made(value: Any) -> Any:
    for kind in _MADE:
        if type(value) is kind:
            return (MARK, "make", kind.__module__, kind.__name__, travelling(_parts(value)))
    if isinstance(value, Mapping):
        return travelling(dict(value))
    if isinstance(value, tuple):
        return travelling(tuple(value))
    if isinstance(value, Iterator):
        return (MARK, "make", "builtins", "iter", [travelling(list(value))])
    if hasattr(type(value), "tolist"):
        return travelling(value.tolist())  # numpy: the sandbox's Python need not have it
    raise NoPlainValueError(f"{type(value).__name__} {getattr(value, '__name__', '')}".strip())


def _parts(value: Any) -> list[Any]:
    """The arguments that make `value` anew."""
    if isinstance(value, range):
        return [value.start, value.stop, value.step]
    if isinstance(value, (decimal.Decimal, fractions.Fraction)):
        return [str(value)]
    if isinstance(value, datetime.timedelta):
        return [value.days, value.seconds, value.microseconds]
    if isinstance(value, datetime.datetime):
        return [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    if isinstance(value, datetime.date):
        return [value.year, value.month, value.day]
    if isinstance(value, collections.deque):
        return [list(value), value.maxlen]
    if isinstance(value, bytearray):
        return [bytes(value)]
    return [dict(value)]
