"""What tests see in place of the program: names and objects that forward to it and hold nothing of it.

What arrives: calls, attributes and assignments of test code, in a judge's process. What leaves: requests, and plain
values back. An object of the program's is known by a number only: it is equal to itself and to nothing else, so that no
``__eq__`` of a program decides a test.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import datetime
import decimal
import fractions
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rayreward.programs.stub import MARK
from rayreward.sandbox import Opaque

Ask = Callable[[str, Any, str, Any, Any], tuple[str, Any]]
"""``ask(what, target, name, args, kwargs)``: "value" with a plain value, "object" with a number and a class's name,
"made" with a class's name and a text, or "raised" with an exception's class and text."""

_NUMBER_TEXT = re.compile(r"-?\d{1,60}(?:[./]\d{1,60})?")
"""Decimals and fractions that are taken from a program; 1e999999999 is one that would be computed with for hours."""

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


class ProgramError(Exception):
    """The program raised an exception of its own class, or one that would mean something else in a test."""


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
        if self._rayreward_target is None:  # a global of the program, such as a constant
            return bool(_plain_global(self) == other)
        return isinstance(other, Remote) and other._rayreward_target == self._rayreward_target

    def __hash__(self) -> int:
        return hash((self._rayreward_target, self._rayreward_name))

    def __repr__(self) -> str:
        return f"<{self._rayreward_name or 'object'} of the program>"


def _plain_global(remote: Remote) -> Any:
    value = _answer(remote, "get", [], {})
    return object() if isinstance(value, Remote) else value


def _answer(remote: Remote, what: str, args: Any, kwargs: Any) -> Any:
    ask = remote._rayreward_ask
    kind, answer = ask(what, remote._rayreward_target, remote._rayreward_name, args, kwargs)
    if kind == "value":
        return answer
    if kind == "object":
        number, class_name = answer
        return _Object(ask, number, class_name)
    if kind == "made":
        return made_number(*answer)
    raise raised_here(*answer)


def made_number(class_name: str, text: str) -> Any:
    """A decimal or a fraction of the program's, made here.

    Raises:
        ProgramError: it is none that is soon computed with.
    """
    kinds: dict[str, Callable[[str], Any]] = {"Decimal": decimal.Decimal, "Fraction": fractions.Fraction}
    if class_name in kinds and _NUMBER_TEXT.fullmatch(text):
        with contextlib.suppress(ArithmeticError):
            return kinds[class_name](text)
    raise ProgramError(f"a {class_name} that is no plain number")


class _Object(Remote):
    """An object that the program holds."""

    __slots__ = ("_rayreward_class",)

    def __init__(self, ask: Ask, number: int, class_name: str) -> None:
        super().__init__(ask, number, "")
        object.__setattr__(self, "_rayreward_class", class_name)

    def __repr__(self) -> str:
        return f"<an object of the program's {self._rayreward_class}>"


_MEANS_SOMETHING_HERE = ("StopIteration", "StopAsyncIteration", "GeneratorExit")
"""Were these raised in a test's loop or generator, it would end as if all had been well."""


def raised_here(type_name: str, message: str) -> Exception:
    """The exception that a test sees for one of the program: a builtin one of the same name, else `ProgramError`."""
    known = getattr(builtins, type_name, None) if type_name not in _MEANS_SOMETHING_HERE else None
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            return known(message)
        except TypeError:  # UnicodeDecodeError and its like take more than a text
            pass
    return ProgramError(f"{type_name}: {message}")


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
