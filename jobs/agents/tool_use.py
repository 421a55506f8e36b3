"""A calculator as a tool: the model writes ``<tool>3 * (4 + 5)</tool>`` and reads ``<result>27</result>``.

The episode ends with an answer after ``####``. Rewards of its own, for ``rewards: environment``: 1 where that is the
last number of the label, else 0.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rayreward.agents import Environment, Turn

CALL = re.compile(r"<tool>(.*?)</tool>", re.DOTALL)
ANSWER = re.compile(r"####\s*\$?(-?\d[\d,]{0,40}(?:\.\d{1,40})?)")
NUMBER = re.compile(r"-?\d[\d,]{0,40}(?:\.\d{1,40})?")

HELP = "\nCall the calculator with <tool>expression</tool>, or end with #### and the answer.\n"

MAX_CHARS = 200
"""Of an expression: none that a person would write is longer."""

MAX_BITS = 1024
"""Of a number on the way: powers of powers would fill the memory."""

OPERATORS: dict[type[ast.operator | ast.unaryop], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class ToolUse(Environment):
    """One problem.

    Args:
        role: "user" or "tool" for chat models (results become messages of the chat), None for base models.
    """

    def __init__(self, role: str | None = None) -> None:
        self.role = role

    def reset(self, prompt: str, label: Any) -> None:
        """Read the answer."""
        found = NUMBER.findall(str(label))
        if not found:
            raise ValueError(f"the label holds no number: {label!r:.80}")
        self.wanted = number(found[-1])

    def step(self, action: str) -> Turn:
        """Calculate, or judge the answer."""
        calls, answers = list(CALL.finditer(action)), list(ANSWER.finditer(action))
        # What comes first counts: behind a call, the model has only imagined what the result would be.
        if answers and not (calls and calls[0].start() < answers[0].start()):
            return Turn(done=True, reward=float(number(answers[0][1]) == self.wanted))
        if not calls:
            return Turn(HELP, reward=0.0, role=self.role)
        result = calculate(calls[0][1].strip())
        return Turn(f"\n<result>{result}</result>\n", reward=0.0, role=self.role, metadata={"result": result})


def calculate(expression: str) -> str:
    """The value of an arithmetic expression, or what is wrong with it.

    It walks the syntax tree and knows numbers and operators alone: nothing that the model writes is executed.
    """
    try:
        if len(expression) > MAX_CHARS:
            raise ValueError(f"longer than {MAX_CHARS} characters")
        return f"{value_of(ast.parse(expression, mode='eval').body):.12g}"
    except (ArithmeticError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        return f"error: {error}"


def value_of(node: ast.expr) -> int | float:
    """The value of a node of the tree."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return bounded(value)
        case ast.BinOp(left, ast.Pow(), right):
            return power(value_of(left), value_of(right))
        case ast.BinOp(left, sign, right) if type(sign) in OPERATORS:
            return bounded(OPERATORS[type(sign)](value_of(left), value_of(right)))
        case ast.UnaryOp(sign, operand) if type(sign) in OPERATORS:
            return bounded(OPERATORS[type(sign)](value_of(operand)))
    raise ValueError("only numbers and + - * / // % ** ( ) are known")


def power(base: int | float, exponent: int | float) -> int | float:
    """``base ** exponent`` where that is a real number of a sensible size."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
        raise ValueError("the number is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the result is no real number")
    return bounded(result)


def bounded(value: Any) -> int | float:
    """`value`, unless it is too large to go on with."""
    is_large = value.bit_length() > MAX_BITS if isinstance(value, int) else not math.isfinite(value)
    if is_large:
        raise ValueError("the number is too large")
    return value  # type: ignore[no-any-return]


def number(text: str) -> Fraction:
    """A number as it is written, exactly."""
    return Fraction(text.replace(",", ""))
