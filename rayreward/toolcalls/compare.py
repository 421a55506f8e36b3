"""The calls of a response beside those expected.

What arrives: calls, expected calls, the tools' schemas, how strict to be. What leaves: a `Comparison`: of each part the
share that is right, from 0 to 1, and what is wrong. `is_accepted` is BFCL's verdict (where strictness is "exact"): all
is right, nothing is missing, nothing is too much. Calls are matched whatever their order, one to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rayreward.toolcalls.call import ToolCall
from rayreward.toolcalls.expected import ExpectedCall, Wanted
from rayreward.toolcalls.tools import Tool
from rayreward.toolcalls.values import Rules, fits_alternative, fits_type, is_accepted, read_text

Strictness = Literal["exact", "permissive", "flexible"]
"""exact: as expected and nothing else. permissive: further arguments do not matter. flexible: further arguments cost
their share and fail nothing, and a value counts that says the same in another type ("5" for 5)."""

PARTS = ("name", "argument_names", "argument_values", "types")

_MAX_PROBLEMS = 8
"""Shown in a reason; more of them help nobody."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much is right.

    Attributes:
        name: 1 for the right tool. With another tool's name nothing else of a call counts.
        argument_names: of the arguments given and of those that must be, the share that is both.
        argument_values: of the same, the share with an accepted value.
        types: of the arguments given and of those that must be, the share that has the type of its parameter.
        is_accepted: whether all is as it should be.
        problems: what is not, for a person.
    """

    name: float
    argument_names: float
    argument_values: float
    types: float
    is_accepted: bool
    problems: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of the four shares: what calls are matched by."""
        return self.name + self.argument_names + self.argument_values + self.types


def compare_calls(
    calls: Sequence[ToolCall],
    expected: Sequence[ExpectedCall],
    tools: Mapping[str, Tool] | None = None,
    *,
    strictness: Strictness = "exact",
    exact_texts: bool = False,
) -> Comparison:
    """All calls of a response with all that are expected: the mean over the larger number of them.

    Example:
        >>> from rayreward.toolcalls import ToolCall, read_expected
        >>> given = [ToolCall("add", {"a": 2}), ToolCall("add", {"a": 1})]
        >>> compare_calls(given, read_expected([{"add": {"a": [1]}}, {"add": {"a": [2]}}])).is_accepted
        True
    """
    tools = tools or {}
    pairs = [
        [compare_call(call, one, tools, strictness=strictness, exact_texts=exact_texts) for call in calls]
        for one in expected
    ]
    matched = _match(pairs)
    count = max(len(calls), len(expected))
    problems: list[str] = []
    for row, one in enumerate(expected):
        at = matched.get(row)
        problems += pairs[row][at].problems if at is not None else [f"no call of {one.name:.60}"]
    surplus = [call for at, call in enumerate(calls) if at not in matched.values()]
    problems += [f"a call of {call.name:.60} too many" for call in surplus]
    found = [pairs[row][at] for row, at in matched.items()]
    shares = {part: sum(getattr(one, part) for one in found) / count if count else 1.0 for part in PARTS}
    is_right = len(calls) == len(expected) and all(one.is_accepted for one in found) and len(found) == count
    return Comparison(**shares, is_accepted=is_right, problems=tuple(problems[:_MAX_PROBLEMS]))


def compare_call(
    call: ToolCall,
    expected: ExpectedCall,
    tools: Mapping[str, Tool],
    *,
    strictness: Strictness = "exact",
    exact_texts: bool = False,
) -> Comparison:
    """One call with one that is expected."""
    if not _is_name(call.name, expected.name, tools):
        return Comparison(0.0, 0.0, 0.0, 0.0, False, (f"{call.name:.60} is called for {expected.name:.60}",))
    tool = tools.get(expected.name, Tool())
    call = typed_call(call, expected, tool)
    rules = Rules(exact_texts, strictness == "flexible", expected.nests_alternatives)
    must_be = {name for name, wanted in expected.arguments.items() if not wanted.is_optional or name in tool.required}
    given = call.arguments.keys() & expected.arguments.keys()
    surplus = call.arguments.keys() - expected.arguments.keys()
    if strictness == "permissive":
        surplus = set()
    right, typed = set(), set()
    for name in given:
        schema = _schema_of(name, expected.arguments[name], tool)
        right |= {name} if _is_right(call, name, expected.arguments[name], schema, rules) else set()
        typed |= {name} if _is_typed(call, name, expected.arguments[name], schema) else set()
    typed |= right if strictness != "flexible" else set()
    missing = must_be - given
    problems = [f"{expected.name:.60}: {name:.60} is missing" for name in sorted(missing)]
    problems += [f"{expected.name:.60}: {name:.60} is not asked for" for name in sorted(surplus)]
    problems += [f"{expected.name:.60}: {name:.60} has another value" for name in sorted(given - right)]
    count = len(given) + len(missing) + len(surplus)
    is_whole = not missing and right == given and (strictness == "flexible" or not surplus)
    return Comparison(
        1.0,
        len(given) / count if count else 1.0,
        len(right) / count if count else 1.0,
        len(typed) / count if count else 1.0,
        is_whole,
        tuple(problems),
    )


def typed_call(call: ToolCall, expected: ExpectedCall, tool: Tool) -> ToolCall:
    """The call, with its arguments read by their parameters' types where its format writes bare texts."""
    if not call.are_texts:
        return call
    values: dict[str, Any] = dict(call.arguments)
    for name in call.arguments.keys() & expected.arguments.keys():
        wanted = expected.arguments[name]
        values[name] = read_text(values[name], _schema_of(name, wanted, tool), wanted.alternatives or ())
    return ToolCall(call.name, values)


def _is_name(given: str, expected: str, tools: Mapping[str, Tool]) -> bool:
    """Whether a tool is meant. Where an API allows no dots, its models write ``math_add`` for ``math.add``."""
    return given == expected or (given == expected.replace(".", "_") and given not in tools)


def _schema_of(name: str, wanted: Wanted, tool: Tool) -> Mapping[str, object]:
    return wanted.schema if wanted.schema is not None else tool.properties.get(name, {})


def _is_right(call: ToolCall, name: str, wanted: Wanted, schema: Mapping[str, object], rules: Rules) -> bool:
    if wanted.alternatives is None:
        return fits_type(call.arguments[name], schema)
    return is_accepted(call.arguments[name], wanted.alternatives or ([],), schema, rules)


def _is_typed(call: ToolCall, name: str, wanted: Wanted, schema: Mapping[str, object]) -> bool:
    if schema.get("type"):
        return fits_type(call.arguments[name], schema)
    return wanted.alternatives is None or fits_alternative(call.arguments[name], wanted.alternatives)


def _match(pairs: Sequence[Sequence[Comparison]]) -> dict[int, int]:
    """Which call stands for which expected one: as many accepted pairs as can be, then the best of the rest."""
    by_column: dict[int, int] = {}
    for row in range(len(pairs)):
        _augment(pairs, row, by_column, set())
    matched = {row: at for at, row in by_column.items()}
    rest = sorted(
        ((-pairs[row][at].total, row, at) for row in range(len(pairs)) for at in range(len(pairs[row]))),
    )
    for total, row, at in rest:
        if total < 0 and row not in matched and at not in by_column:
            matched[row] = at
            by_column[at] = row
    return matched


def _augment(pairs: Sequence[Sequence[Comparison]], row: int, by_column: dict[int, int], seen: set[int]) -> bool:
    """Kuhn's step: give `row` an accepted call, moving others where they have another one. Depth: at most the rows."""
    for at, pair in enumerate(pairs[row]):
        if pair.is_accepted and at not in seen:
            seen.add(at)
            if at not in by_column or _augment(pairs, by_column[at], by_column, seen):
                by_column[at] = row
                return True
    return False
