r"""From an answer's text to its value.

What arrives: the text of one answer, as a model or a data set wrote it. What leaves: a `Value`; never an exception. An
answer is one value or several (commas, ``or``, ``and``, ``\pm``), each an expression with a unit, a row between
brackets, a set, intervals, a matrix, a relation, or words. What was read is kept for the next time it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from rayreward.grading.expressions import ExpressionReader, RefusedError, UnreadableError
from rayreward.grading.intervals import as_region, both_bounds
from rayreward.grading.magnitudes import approximately
from rayreward.grading.relations import read_relation, relation_signs
from rayreward.grading.sums import INFINITY, Arithmetic, Ratio, TooLargeError
from rayreward.grading.tokens import Token, joined, tokenise
from rayreward.grading.units import SHORT_UNITS, Unit, read_unit
from rayreward.grading.values import (
    Based,
    Matrix,
    Piece,
    Refused,
    Region,
    Row,
    Scalar,
    Several,
    Unread,
    Value,
    Words,
)

KEPT_ANSWERS = 8_192
"""Answers kept as they were read; a data set's gold answers come again at every step. About 20 MB at worst."""

_PLAIN_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?")
_OPENING = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle", "]": "["}
_NEST = {"(": 1, "[": 1, r"\{": 1, "{": 1, r"\langle": 1, r"\begin": 1,
         ")": -1, "]": -1, r"\}": -1, "}": -1, r"\rangle": -1, r"\end": -1}  # fmt: skip
SEPARATORS = frozenset((",", ";", "or", "and", r"\lor", r"\land"))
"""What stands between several values; a word counts in or out of ``\\text``."""
_MATRICES = {"pmatrix": "matrix", "bmatrix": "matrix", "matrix": "matrix", "Bmatrix": "matrix", "array": "matrix",
             "smallmatrix": "matrix", "vmatrix": "determinant", "Vmatrix": "norm"}  # fmt: skip
_SINGLE_LETTER_UNITS = frozenset("mgshlL")
_MAX_VALUES = 200


@lru_cache(maxsize=KEPT_ANSWERS)
def read_answer(text: str, *, commas_group: bool = True) -> Value:
    r"""The value of an answer.

    Args:
        text: what stands in the box; see `rayreward.grading.extract.tidied` for what is cut off before.
        commas_group: whether ``1,234`` is one number; else it is two.

    Example:
        >>> read_answer(r"\dfrac12").ratio.number, read_answer(r"5\text{ or }12").values[1].ratio.number
        (Fraction(1, 2), Fraction(12, 1))
    """
    if _PLAIN_NUMBER.fullmatch(text):  # most answers there are
        return Scalar(Ratio.of(Fraction(text)))
    try:
        tokens = tokenise(text, SHORT_UNITS, commas_group=commas_group)
        return _read_answer(tokens)
    except RefusedError as error:
        return Refused(str(error))
    except ZeroDivisionError as error:
        return Refused(str(error))
    except (UnreadableError, TooLargeError, ArithmeticError) as error:
        return Unread(str(error))
    except RecursionError:  # brackets of brackets in rows; expressions count for themselves
        return Refused("it is nested without end")


def _read_answer(tokens: Sequence[Token]) -> Value:
    if not tokens:
        return Words("")
    tokens = _without_scenery(tokens)
    labelled = _after_label(tokens)
    if labelled is not None:
        return _read_answer(labelled)
    parts = list(split_at(tokens, SEPARATORS))
    if len(parts) > _MAX_VALUES:
        raise TooLargeError(f"more than {_MAX_VALUES} values")
    values = [value for part in parts if part for value in _read_part(part)]
    if len(values) == 1:
        return values[0]
    if not values:
        return Words(joined(list(tokens)).casefold())
    if all(isinstance(value, Words) for value in values):
        return Words(joined(list(tokens)).casefold()) if _is_prose(tokens) else Several(tuple(values))
    if all(isinstance(value, Region) for value in values) and any(token.text in ("or", r"\lor") for token in tokens):
        pieces = tuple(piece for value in values if isinstance(value, Region) for piece in value.pieces)
        return Region(pieces, values[0].variable if isinstance(values[0], Region) else "")
    if len(values) == 2 and all(isinstance(value, Region) for value in values):
        return both_bounds(values[0], values[1]) or Several(tuple(values))
    if any(token.text == "or" for token in tokens) and _are_one(values) and not any(t.text == "," for t in tokens):
        return values[0]  # 3/4 or 0.75
    return Several(tuple(values))


def _are_one(values: Sequence[Value]) -> bool:
    """Whether all are the same number, written otherwise."""
    first = values[0]
    return isinstance(first, Scalar) and all(
        isinstance(value, Scalar)
        and value.is_percent == first.is_percent
        and value.unit == first.unit
        and not Arithmetic().difference(first.ratio, value.ratio)
        for value in values[1:]
    )


def _without_scenery(tokens: Sequence[Token]) -> Sequence[Token]:
    r"""Without what only arranges an answer: ``aligned``, ``cases`` of a system, brackets turned outward."""
    texts = [token.text for token in tokens]
    if texts[0] == r"\begin" and "}" in texts and "".join(texts[2 : texts.index("}")]) in _ARRANGED:
        name, end = texts[2 : texts.index("}")], texts.index(r"\end") if r"\end" in texts else 0
        inside = tokens[texts.index("}") + 1 : end]
        is_whole = texts[end + 1 :] == ["{", *name, "}"] and texts.count(r"\begin") == 1
        if is_whole and inside and not (name == ["cases"] and any(token.text == "&" for token in inside)):
            tokens = [Token("symbol", ",") if one.text == r"\\" else one for one in inside if one.text != "&"]
            texts = [token.text for token in tokens]
    if "]" in texts and texts.index("]") < min(texts.index(one) if one in texts else len(texts) for one in "(["):
        tokens = _turned_brackets(tokens)
    if _CONDITIONS.isdisjoint(texts):
        return tokens
    for at in range(1, len(texts)):
        if texts[at] in (r"\forall", "where") or (
            texts[at] == "for" and texts[at + 1 : at + 2] in (["all"], ["any"], ["every"], ["some"])
        ):
            is_said = any(token.kind != "word" for token in tokens[:at])
            return tokens[: at - (texts[at - 1] == ",")] if is_said and at > 1 else tokens
    return tokens


_CONDITIONS = frozenset((r"\forall", "where", "for"))
_ARRANGED = frozenset(("aligned", "align", "align*", "gathered", "split", "cases"))


def _turned_brackets(tokens: Sequence[Token]) -> Sequence[Token]:
    """``]1, 4[`` as ``(1, 4)``, where brackets open and close in turn; else the tokens as they are."""
    places = [at for at, token in enumerate(tokens) if token.text in ("(", ")", "[", "]")]
    turned = list(tokens)
    for count, at in enumerate(places):
        opens, text = count % 2 == 0, tokens[at].text
        if (opens and text == ")") or (not opens and text == "("):
            return tokens
        if text == ("]" if opens else "["):
            turned[at] = Token("symbol", "(" if opens else ")")
    return turned if len(places) % 2 == 0 else tokens


def _after_label(tokens: Sequence[Token]) -> Sequence[Token] | None:
    """What stands behind a few words that only announce it: Total: 5; the roots are 2 and 4; the point (1, 2)."""
    if tokens[0].kind != "word":
        return None
    at = 0
    while at < len(tokens) and at < _MAX_LABEL_WORDS and tokens[at].kind == "word":
        at += 1
    if not 0 < at < len(tokens):
        return None
    words = {token.text.casefold() for token in tokens[:at]}
    last, behind = tokens[at - 1].text.casefold(), tokens[at]
    if words & _DENIALS:
        return None
    if behind.text == ":":
        return tokens[at + 1 :] or None
    if last in ("is", "are", "equals") or (last in _OBJECTS and behind.text in ("(", "[", r"\{")):
        return tokens[at:]
    return None


_MAX_LABEL_WORDS = 8
_DENIALS = frozenset(
    ("or", "not", "no", "none", "maybe", "either", "neither", "but", "except", "unless", "less", "more", "than",
     "least", "most", "wrong", "incorrect", "possibly", "perhaps", "isn't", "aren't", "nor", "false", "if",
     "otherwise", "never")
)  # fmt: skip
"""Words before a value that make it another answer, or none."""

_OBJECTS = frozenset(
    ("point", "points", "vector", "interval", "set", "pair", "pairs", "triple", "triples", "coordinates", "solution",
     "solutions", "matrix")
)  # fmt: skip


def _is_prose(tokens: Sequence[Token]) -> bool:
    return sum(token.kind == "word" for token in tokens) > 2 * sum(token.text == "," for token in tokens) + 2


def split_at(tokens: Sequence[Token], separators: frozenset[str]) -> Iterator[Sequence[Token]]:
    """The parts between separators that stand outside of all brackets."""
    depth = start = 0
    for at, token in enumerate(tokens):
        depth += _NEST.get(token.text, 0)
        if depth <= 0 and token.text in separators:
            yield tokens[start:at]
            start = at + 1
    yield tokens[start:]


def _read_part(tokens: Sequence[Token]) -> list[Value]:
    r"""One value, or the two of a ``\pm``."""
    if not any(token.text in (r"\pm", r"\mp") for token in tokens):
        return [_read_value(tokens, sign=1)]
    if sum(token.text in (r"\pm", r"\mp") for token in tokens) > 1:
        raise UnreadableError("signs that may or may not go together")
    return [_read_value(tokens, sign=sign) for sign in (1, -1)]


def _read_value(tokens: Sequence[Token], *, sign: int) -> Value:
    def read(part: Sequence[Token]) -> Value:
        return _read_side(part, sign=sign)

    if relation_signs(tokens):
        return read_relation(tokens, read)
    return read(tokens)


def _read_side(tokens: Sequence[Token], *, sign: int) -> Value:
    """A value without a relation."""
    if not tokens:
        raise UnreadableError("a side of a relation is missing")
    unions = list(split_at(tokens, frozenset((r"\cup",))))
    if len(unions) > 1:
        return Region(tuple(piece for part in unions for piece in _pieces(_read_side(part, sign=sign))))
    first = tokens[0].text
    if first == r"\begin":
        return _read_matrix(tokens, sign=sign)
    if first == r"\emptyset" and len(tokens) == 1:
        return Several((), is_set=True)
    if [token.text for token in tokens] in ([r"\mathbb", "{", "R", "}"], [r"\mathbb", "R"]):
        return Region((Piece(None, False, None, False),))
    if len(tokens) > 5 and tokens[0].kind == "letter" and first.isupper() and tokens[1].text == "(":
        found = _read_brackets(tokens[1:], sign=sign)
        if isinstance(found, Row):  # P(1, 2): a point with its name
            return found
    if first == r"\mathbb" and (found := _read_without_points(tokens)) is not None:
        return found
    if first in _OPENING:
        found = _read_brackets(tokens, sign=sign)
        if found is not None:
            return found
    if all(token.kind == "word" or token.text in ".'\"-?!:" for token in tokens):
        words = _as_words(tokens)
        if words.text in _NUMBER_WORDS:
            return Scalar(Ratio.of(_NUMBER_WORDS.index(words.text)))
        return Region((Piece(None, False, None, False),)) if words.text in _ALL_REALS else words
    based = _read_based(tokens)
    return based if based is not None else _read_quantity(tokens, sign=sign)


def _read_without_points(tokens: Sequence[Token]) -> Region | None:
    r"""All numbers but a few: ``\mathbb{R} \setminus \{1, 2\}``."""
    texts = [token.text for token in tokens[:6]]
    if texts[:4] != [r"\mathbb", "{", "R", "}"] or texts[4:] not in ([r"\setminus", r"\{"], ["-", r"\{"]):
        return None
    points = _read_brackets(tokens[5:], sign=1)
    if not isinstance(points, Several) or not all(isinstance(point, Scalar) for point in points.values):
        return None
    holes = [(approximately(point.ratio), point.ratio) for point in points.values if isinstance(point, Scalar)]
    placed = [(value, ratio) for value, ratio in holes if value is not None]
    if len(placed) < len(holes) or len({value for value, _ in placed}) < len(placed):
        return None
    bounds = [None, *(ratio for _, ratio in sorted(placed, key=lambda hole: hole[0])), None]
    return Region(tuple(Piece(low, False, high, False) for low, high in pairwise(bounds)))


def _read_brackets(tokens: Sequence[Token], *, sign: int) -> Value | None:
    """Values between one pair of brackets around all; None where the pair ends early or holds an expression."""
    opening, closing = tokens[0].text, tokens[-1].text
    if len(tokens) < 2 or closing not in (")", "]", r"\}", r"\rangle", "["):
        return None
    depth = 0
    for token in tokens[1:-1]:
        depth += _NEST.get(token.text, 0)
        if depth < 0 and opening != "]":
            return None
    inside = tokens[1:-1]
    if opening == r"\{":
        if closing == r"\}" and any(token.text in ("|", ":", r"\mid") for token in inside):
            return _read_set_by_property(inside)
        if closing != r"\}":
            raise UnreadableError("brackets that do not fit each other")
        value = _read_answer(inside) if inside else Several(())
        return Several(value.values if isinstance(value, Several) else (value,), is_set=True)
    parts = list(split_at(inside, frozenset((",", ";"))))
    if len(parts) == 1:
        if _OPENING[opening] != closing or opening == r"\langle":
            raise UnreadableError("brackets that do not fit each other")
        # A pair around one value that is no expression: a matrix, a set, an interval again.
        is_plain = inside and inside[0].text not in (*_OPENING, r"\begin") and not relation_signs(inside)
        return None if is_plain or not inside or inside[0].text in ("(", "[") else _read_side(inside, sign=sign)
    items = tuple(_read_value(part, sign=sign) for part in parts)
    plain = {r"\langle": "(", r"\rangle": ")"}
    return Row(plain.get(opening, opening), plain.get(closing, closing), items)


def _read_set_by_property(inside: Sequence[Token]) -> Value:
    r"""The numbers that an inequality allows: ``x \mid x \le 3``, ``x \in \mathbb{R} : x \le 3``."""
    texts = [token.text for token in inside]
    at = next(at for at, text in enumerate(texts) if text in ("|", ":", r"\mid"))
    is_real = at == 1 or [text for text in texts[1:at] if text not in "{}"] == [r"\in", r"\mathbb", "R"]
    if is_real and inside[0].kind == "letter":
        value = _read_answer(inside[at + 1 :])
        if isinstance(value, Region) and value.variable == texts[0]:
            return value
    raise UnreadableError("a set by its property")


def _read_matrix(tokens: Sequence[Token], *, sign: int) -> Value:
    texts = [token.text for token in tokens]
    name_end = texts.index("}") if "}" in texts else 0
    name = "".join(texts[2:name_end])
    if name not in _MATRICES or texts.count(r"\begin") != 1 or r"\end" not in texts:
        raise UnreadableError(f"an environment that is not read: {name!r:.40}")
    start, end = name_end + 1, texts.index(r"\end")
    if joined(list(tokens[end + 1 :])).replace(" ", "") != f"{{{name}}}":
        raise UnreadableError("something behind a matrix")
    if name == "array" and texts[start : start + 1] == ["{"]:
        start += texts[start:].index("}") + 1 if "}" in texts[start:] else 0
    rows = []
    for row in split_at(tokens[start:end], frozenset((r"\\",))):
        if row:
            rows.append(tuple(_read_side(cell, sign=sign) for cell in split_at(row, frozenset("&"))))
    return Matrix(tuple(rows), _MATRICES[name])


def _read_based(tokens: Sequence[Token]) -> Based | None:
    r"""Digits in a base: 52_8, 52_{8}, (52)_8, 52_{\text{eight}}."""
    texts = [token.text for token in tokens]
    if "_" not in texts:
        return None
    at = texts.index("_")
    digits = [text for text in texts[:at] if text not in "(){}"]
    base = [text for text in texts[at + 1 :] if text not in "{}"]
    if len(digits) != 1 or not digits[0].replace(".", "").isdigit() or len(base) != 1:
        return None
    name = _BASES.get(base[0].casefold(), base[0])
    return Based(digits[0], name) if name.isdigit() else None


_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
          "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16"}  # fmt: skip


def _read_quantity(tokens: Sequence[Token], *, sign: int) -> Value:
    """An expression and what stands behind it: a unit, a percent sign, degrees. Other language is words."""
    if tokens[0].text.casefold() in ("usd", "us") and len(tokens) > 1 and tokens[1].kind != "word":
        tokens = [Token("symbol", "\\$"), *(token for token in tokens[1:] if token.text != "\\$")]
    if tokens[0].text.casefold() in _CURRENCIES and len(tokens) > 1:  # before the number what is read behind it
        tokens = [*tokens[1 + (tokens[1].text == ".") :], Token("word", tokens[0].text)]
    tokens = _without_remark(_spread_units(tokens))
    is_money = tokens[0].text == "\\$" or [token.text for token in tokens[:2]] == ["-", "\\$"]
    if is_money:
        tokens = [token for token in tokens if token.text != "\\$"]
    reader = ExpressionReader(_without_letter_unit(tokens), sign=sign)
    if reader.next.kind == "word":
        return _read_words(tokens)
    try:
        ratio = reader.expression()
    except UnreadableError:
        if not any(token.kind == "word" for token in tokens):
            raise
        return _read_words(tokens)
    rest = tokens[reader.at :]
    texts = [token.text for token in rest]
    if texts[:1] == ["%"] or [text.casefold() for text in texts] == ["percent"]:
        if len(rest) > 1:
            raise UnreadableError("something behind a percentage")
        return Scalar(ratio, is_percent=True)
    if texts in (["^", r"\circ"], ["^", "{", r"\circ", "}"], [r"\circ"]):
        return Scalar(ratio, Unit("degree", is_known=True))
    unit = read_unit(rest)
    if unit is None or (rest and INFINITY in ratio.atoms):
        return _read_words(tokens)
    if unit.factor != 1:
        ratio = reader.arithmetic.multiply(ratio, Ratio.of(unit.factor))
    if is_money and not unit.name:
        unit = Unit("dollar", is_known=True)
    return Scalar(ratio, unit)


def _spread_units(tokens: Sequence[Token]) -> Sequence[Token]:
    r"""The tokens with ``\frac{\text{m}}{\text{s}}`` as m per s, and the line of $12/hour as per."""
    if not any(token.text == "/" or token.text == r"\frac" for token in tokens[:-1]) or tokens[-1].kind == "number":
        return tokens
    spread = list(tokens)
    for at in range(1, len(spread) - 1):
        if spread[at].text == "/" and spread[at + 1].kind == "word":
            spread[at] = Token("word", "per")
    starts = [at for at, token in enumerate(spread[:-6]) if token.text == r"\frac" and spread[at + 2].kind == "word"]
    if len(starts) == 1 and len(spread) == starts[0] + 7 and spread[-2].kind == "word":
        spread[starts[0] :] = [spread[-5], Token("word", "per"), spread[-2]]
    return spread


_CURRENCIES = frozenset(("euros", "pounds", "yen", "rs", "inr", "eur", "gbp"))


def _without_remark(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens without brackets around the words that they end with: 5 (units), 12 cm (approx.), 5 (five)."""
    if tokens[-1].text != ")":
        return tokens
    start = len(tokens) - 2
    while start > 0 and (tokens[start].kind == "word" or tokens[start].text == "."):
        start -= 1
    words = [token for token in tokens[start + 1 : -1] if token.kind == "word"]
    if start < 1 or tokens[start].text != "(" or not words or start == len(tokens) - 2:
        return tokens
    is_about = len(words) == 1 and words[0].text.casefold() in ("approx", "approximately", "rounded", "exactly")
    before = list(tokens[:start])
    is_more = any(token.kind == "word" for token in before)
    if is_about:
        return before
    if any(word.text.casefold() in _NUMBER_WORDS for word in words):
        return before if _says(before, words) else tokens
    return tokens if is_more else [*before, *words]


def _says(tokens: Sequence[Token], words: Sequence[Token]) -> bool:
    """Whether the word is the number before it."""
    return len(words) == 1 and tokens[0].text == str(_NUMBER_WORDS.index(words[0].text.casefold()))


def _without_letter_unit(tokens: Sequence[Token]) -> Sequence[Token]:
    """The tokens without a unit of one letter behind a number and a space: 5 m; 5m is a product."""
    if len(tokens) >= 2 and tokens[-1].kind == "letter" and tokens[-1].is_spaced:
        is_unit = tokens[-1].text in _SINGLE_LETTER_UNITS and tokens[-2].kind == "number"
        return tokens[:-1] if is_unit and len(tokens) == 2 else tokens
    return tokens


def _read_words(tokens: Sequence[Token]) -> Value:
    """Language with numbers in it; what holds mathematics beyond that is not read here."""
    if any(token.kind == "command" for token in tokens):
        raise UnreadableError("language and mathematics in one")
    return _as_words(tokens)


def _as_words(tokens: Sequence[Token]) -> Words:
    """Language in one form: 3 to 2 is 3 : 2, July 4th is July 4, p.m. is pm."""
    text = joined(list(tokens)).casefold().strip(" .'\"-?!:")
    for written, plain in _WORDINGS:
        text = written.sub(plain, text)
    return Words(text)


_WORDINGS = (
    (re.compile(r"^(?:an?|the) "), ""),
    (re.compile(r"^(\d+) to (\d+)$"), r"\1 : \2"),
    (re.compile(r"(?<=\d) (?:st|nd|rd|th)\b"), ""),
    (re.compile(r"\b([ap]) \. m\b"), r"\1m"),
)
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
                 "twelve")  # fmt: skip
_ALL_REALS = frozenset(("all real numbers", "all reals", "all real x"))


def _pieces(value: Value) -> tuple[Piece, ...]:
    region = as_region(value)
    if region is None:
        raise UnreadableError("a union of something else than intervals")
    return region.pieces
