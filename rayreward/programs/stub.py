"""The text that is appended to a Python program: it answers calls of the judge's, in the program's own process.

What arrives there: calls by name, with marks in place of what is no plain value. What leaves: values, or numbers of
objects that stay. It is on the program's side: a program that changes it can lie about its own answers, as it can
anyway. It holds nothing of the tests.
"""

from __future__ import annotations

import marshal
import sys

MARK = "\x00rayreward"
"""The first item of a tuple that stands for something else. The program can make such tuples too; what they may stand
for in its answers is `rayreward.programs.made`'s to say."""

MOST_ITEMS = 100_000
"""Items that are taken of a generator or another iterator, which may have no end."""

MOST_NAMES = 20
"""Classes of an exception that are told."""

ANSWER = "__rayreward_answer__"

_SOURCE = f"""

def {ANSWER}(what, target, name, args, kwargs, objects=[], numbers={{}}):
    import builtins, importlib
    def here(value):
        if type(value) is tuple and len(value) > 2 and type(value[0]) is str and value[0] == {MARK!r}:
            if value[1] == "object":
                return objects[value[2]]
            if value[1] == "global":
                return found(None, value[2])
            made = getattr(importlib.import_module(value[2]), value[3])
            return made if value[4] is None else made(*here(value[4]))
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(map(here, value))
        if type(value) is dict:
            return {{here(key): here(one) for key, one in value.items()}}
        return value
    def found(target, path):
        if target is None:
            first, _, path = path.partition(".")
            space = globals()
            if first in space:
                value = space[first]
            elif "Solution" in space and hasattr(space["Solution"], first):
                value = getattr(space["Solution"](), first)
            elif hasattr(builtins, first):
                value = getattr(builtins, first)
            else:
                raise NameError(f"the program defines no {{first!r}}")
        else:
            value = objects[target]
        for part in path.split(".") if path else ():
            value = getattr(value, part)
        return value
    data = (int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
    marks = []
    def made(*parts):
        marks.append(None)
        return ({MARK!r}, *parts)
    def of_library(value, kind):
        name = kind.__name__
        if name in ("Decimal", "Fraction"):
            return made(name, str(value))
        if name == "timedelta":
            return made(name, value.days, value.seconds, value.microseconds)
        if name == "datetime" and value.tzinfo is None:
            return made(name, value.year, value.month, value.day, value.hour, value.minute, value.second,
                        value.microsecond)
        if name == "date":
            return made(name, value.year, value.month, value.day)
        if name == "deque":
            return made(name, [plain(one) for one in value], value.maxlen)
        if name == "Counter":
            return made(name, {{plain(key): plain(one) for key, one in value.items()}})
        if name == "dict_keys":
            return made(name, [plain(one) for one in value])
        if name == "range" and len(value) <= {MOST_ITEMS}:
            return made(name, value.start, value.stop, value.step)
    def plain(value):
        kind = type(value)
        if value is None or kind in (bool, int, float, str, bytes, complex):
            return value
        if kind.__module__ in ("builtins", "collections", "datetime", "decimal", "fractions"):
            stands = of_library(value, kind)
            if stands is not None:
                return stands
        if kind.__module__ in ("numpy", "array") and hasattr(value, "tolist"):
            return plain(value.tolist())
        for base in (int, float, complex, str, bytes):
            if isinstance(value, base):
                return base(value)
        if isinstance(value, dict):
            return {{plain(key): plain(one) for key, one in value.items()}}
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return made("tuple", kind.__name__, tuple(kind._fields), [plain(one) for one in value])
        for base in (tuple, set, frozenset):
            if isinstance(value, base):
                return base([plain(one) for one in value])
        if isinstance(value, list) or kind.__name__ in ("dict_values", "dict_items", "range"):
            return [plain(one) for one in value]
        if isinstance(value, bytearray):
            return bytes(value)
        if hasattr(kind, "__next__") and kind.__module__ in ("builtins", "itertools"):
            return [plain(one) for one, _ in zip(value, range({MOST_ITEMS}))]
        return value
    def told(value):
        kind = type(value)
        if kind.__name__ == "coroutine":
            return ["awaited", told(importlib.import_module("asyncio").run(value))]
        if not isinstance(value, data) and (kind.__module__ == __name__ or callable(value)):
            if id(value) not in numbers:
                numbers[id(value)] = len(objects)
                objects.append(value)
            return ["object", [numbers[id(value)], kind.__name__]]
        value = plain(value)
        return ["made" if marks else "value", value]
    try:
        if what == "set":
            setattr(objects[target], name, here(args[0]))
            return ["value", None]
        value = found(target, name)
        if what == "change":
            args, kwargs = here(args), here(kwargs)
            value(*args, **kwargs)
            return ["changed", [[plain(one) for one in args], {{key: plain(one) for key, one in kwargs.items()}}]]
        return told(value(*here(args), **here(kwargs)) if what == "call" else value)
    except Exception as error:
        return ["raised", [[kind.__name__ for kind in type(error).__mro__[:{MOST_NAMES}]], str(error)[:500]]]
"""


def _compiled() -> str:
    """The stub as code of this interpreter's, which most often is the program's: compiling it took a millisecond."""
    code = marshal.dumps(compile(_SOURCE, "<stub>", "exec", dont_inherit=True))
    return (
        f"\n\nexec(__import__('marshal').loads({code!r}) if __import__('sys').hexversion == {sys.hexversion} "
        f"else {_SOURCE!r})\n"
    )


STUB = _compiled()
