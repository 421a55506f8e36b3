"""Other ways to write a right answer, and answers that are nearly right.

What arrives: a gold answer of MATH, as LaTeX. What leaves: pairs of a kind and a text. Every equivalent says the same
as the gold answer to a person who grades; every near miss says something else. They are made from the text alone, by
rules that know nothing of the grader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s?\{?(\d+)\}?\s?\{?(\d+)\}?")
_ROW = re.compile(r"(?:\\left)?\s*([(\[])(.*?)(?:\\right)?\s*([)\]])", re.DOTALL)
_TERM = re.compile(r"[+-]?[^+-]+")
_ONE_LETTER = re.compile(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z])")
Variant = tuple[str, str]


def number_of(gold: str) -> Fraction | None:
    """The value of a plain integer, decimal or fraction."""
    plain = gold.replace("\\!", "").replace(" ", "").replace("{,}", ",")
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", "")
    if re.fullmatch(r"-?\d*\.?\d+", plain):
        return Fraction(plain)
    found = _FRACTION.fullmatch(gold.strip())
    if found is None:
        return None
    above, below = found[2], found[3]
    if gold.count("{") == 0 and len(above) > 1:  # \frac65
        return None
    return Fraction(int(above), int(below)) * (-1 if found[1] else 1) if int(below) else None


def is_terminating(value: Fraction) -> bool:
    below = value.denominator
    for prime in (2, 5):
        while below % prime == 0:
            below //= prime
    return below == 1


def decimal(value: Fraction) -> str:
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    return f"{float(value):.{places}f}" if places else str(value.numerator)


def equivalents(gold: str) -> Iterator[Variant]:
    """The same answer, written otherwise."""
    yield "closing period", gold + "."
    yield "dollars", f"${gold}$"
    yield "spaces around", f"  {gold}  "
    yield "spaces in", re.sub(r"(?<![\\{_^])([-+=])(?!\s)", r" \1 ", gold)
    yield "display style", rf"\displaystyle {gold}"
    if "=" not in gold:
        yield "named", f"x = {gold}"
        yield "named by a word", rf"\text{{Area}} = {gold}"
    if r"\frac" in gold and r"\dfrac" not in gold:
        yield "dfrac", gold.replace(r"\frac", r"\dfrac")
        yield "tfrac", gold.replace(r"\frac", r"\tfrac")
    if re.search(r"[(\[]", gold) and r"\left" not in gold and "\\text" not in gold:
        yield "left and right", re.sub(r"([)\]])", r"\\right\1", re.sub(r"([(\[])", r"\\left\1", gold))
    if r"\left" in gold:
        yield "without left and right", gold.replace(r"\left", "").replace(r"\right", "")
    if "pmatrix" in gold:
        yield "bmatrix", gold.replace("pmatrix", "bmatrix")
    if r"^\circ" in gold:
        yield "without degrees", gold.replace(r"^\circ", "")
        yield "degrees in braces", gold.replace(r"^\circ", r"^{\circ}")
        yield "degrees in words", gold.replace(r"^\circ", r"\text{ degrees}")
    if r"\$" in gold:
        yield "without currency", gold.replace(r"\$", "")
    if (unit := re.search(r"\s*\\(?:text|mbox)\{\s[a-z. ]+\}(\^\d)?", gold)) is not None:
        yield "without unit", gold.replace(unit.group(), "")
    if re.fullmatch(r"\d+_\d", gold):
        yield "base in braces", re.sub(r"_(\d)", r"_{\1}", gold)
    if (words := re.fullmatch(r"\\text\{(\w+)\}", gold)) is not None:
        yield "bare words", words[1]
        yield "bold words", rf"\textbf{{{words[1]}}}"
    if re.fullmatch(r"\\text\{\([A-E]\)\}", gold):
        yield "letter", gold[7]
        yield "letter in brackets", f"({gold[7]})"
        yield "letter with its value", rf"\textbf{{({gold[7]})}}\ 12"
    if r"\pm" in gold:
        yield "both signs", f"{gold.replace(chr(92) + 'pm', '+')}, {gold.replace(chr(92) + 'pm', '-')}"
    yield from _equivalent_numbers(gold)
    yield from _equivalent_lists(gold)
    yield from _equivalent_expressions(gold)


def _equivalent_numbers(gold: str) -> Iterator[Variant]:
    value = number_of(gold)
    if value is None:
        return
    if value.denominator == 1:
        number = value.numerator
        yield "point zero", f"{number}.0"
        yield "over two", rf"\frac{{{2 * number}}}{{2}}"
        yield "unit in text", rf"{number}\text{{ cm}}"
        yield "square unit", rf"{number} \text{{ units}}^2"
        yield "unit in words", f"{number} apples"
        yield "currency", rf"\${number}"
        yield "in text", rf"\text{{{number}}}"
        yield "sum", f"{number - 1} + 1"
        yield "calculation", f"{number - 1} + 1 = {number}"
        yield "bold", rf"\mathbf{{{number}}}"
        if abs(number) >= 1000:
            yield "thousands", f"{number:,}"
            yield "thousands in braces", f"{number:,}".replace(",", "{,}")
            yield "thin spaces", f"{number:,}".replace(",", r"\,")
            if number % 100 == 0:
                yield "scientific", rf"{decimal(Fraction(number, 1000))} \times 10^3"
    else:
        above, below = value.numerator, value.denominator
        sign = "-" if above < 0 else ""
        yield "unreduced", rf"{sign}\frac{{{3 * abs(above)}}}{{{3 * below}}}"
        yield "slash", f"{above}/{below}"
        yield "minus above", rf"\frac{{{above}}}{{{below}}}"
        if is_terminating(value):
            yield "decimal", decimal(value)
            yield "decimal with zeros", decimal(value) + "00"
        if abs(above) > below:
            whole, rest = divmod(abs(above), below)
            yield "mixed", rf"{sign}{whole}\frac{{{rest}}}{{{below}}}"
            yield "mixed in text", f"{sign}{whole} {rest}/{below}"
        if abs(above) < 10 and below < 10:
            yield "frac of digits", rf"{sign}\frac{abs(above)}{below}"


def _equivalent_lists(gold: str) -> Iterator[Variant]:
    if re.fullmatch(r"-?\d+(,\s?-?\d+)+", gold) and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", gold):
        items = [item.strip() for item in gold.split(",")]
        yield "reordered", ", ".join(reversed(items))
        yield "set", r"\{" + ", ".join(items) + r"\}"
        yield "and", ", ".join(items[:-1]) + r" \text{ and } " + items[-1]
        yield "named each", ", ".join(f"x = {item}" for item in items)
    row = _ROW.fullmatch(gold)
    if row is not None and row[2].count(",") == 1:
        low, high = (part.strip() for part in row[2].split(","))
        yield "of a variable", rf"x \in {gold}"
        if r"\infty" not in gold and (row[1], row[3]) != ("(", ")"):
            signs = {"(": "<", "[": r"\le", ")": "<", "]": r"\le"}
            yield "inequality", f"{low} {signs[row[1]]} x {signs[row[3]]} {high}"
    if r"\cup" in gold:
        yield "union reordered", r" \cup ".join(reversed([part.strip() for part in gold.split(r"\cup")]))


def _equivalent_expressions(gold: str) -> Iterator[Variant]:
    plain = gold.replace(" ", "")
    if re.fullmatch(r"[-+\dA-Za-z^]+", plain) and _ONE_LETTER.search(gold) and re.search(r".[+-]", plain):
        terms = [term if term[0] in "+-" else f"+{term}" for term in _TERM.findall(plain)]
        yield "terms reordered", "".join(reversed(terms)).removeprefix("+")
        yield "in brackets", f"({plain})"
        yield "twice the half", rf"\frac{{2({plain})}}{{2}}"
    if re.fullmatch(r"\\sqrt\{\d+\}", gold):
        yield "root below", rf"\frac{{{gold[6:-1]}}}{{{gold}}}"
        yield "root twice", rf"\frac{{\sqrt{{4 \cdot {gold[6:-1]}}}}}{{2}}"
    if re.fullmatch(r"\d+\s*(\\sqrt\{\d+\}|\\pi)", gold):
        yield "with a dot", re.sub(r"^(\d+)\s*", r"\1 \\cdot ", gold)
    if "=" in gold and _ONE_LETTER.search(gold) and gold.endswith("= 0"):
        yield "equation times two", f"2({gold.removesuffix('= 0').strip()}) = 0"


def near_misses(gold: str) -> Iterator[Variant]:
    """Answers that look like the right one."""
    other = _other_number(gold)
    if other is not None and other != gold:
        yield "a digit", other
        yield "hedge", rf"{gold} \text{{ or }} {other}"
        yield "hedge the other way round", rf"{other} \text{{ or }} {gold}"
        yield "hedge in words", f"{gold} or {other}"
        yield "two values", f"{gold}, {other}"
        yield "two values and", rf"{gold}\text{{ and }}{other}"
        yield "two values in braces", rf"\{{{gold}, {other}\}}"
        yield "wide space", rf"{gold} \quad {other}"
    value = number_of(gold)
    if value is not None:
        yield from _near_numbers(gold, value)
    elif re.fullmatch(r"[-+\\\w{}^ ]+", gold) and "text" not in gold and "_" not in gold and "circ" not in gold:
        yield "sign", f"-({gold})"
        yield "plus one", f"{gold} + 1"
        yield "plus a hundredth", f"{gold} + 0.01"
        yield "doubled", f"2({gold})"
        yield "squared", f"({gold})^2"
    if r"\%" not in gold and value is not None and value.denominator == 1:
        yield "percentage", rf"{gold}\%"
    yield from _near_rows(gold)
    if re.fullmatch(r"\d+_\d", gold):
        yield "another base", gold[:-1] + str(int(gold[-1]) % 9 + 1)
        yield "without a base", gold[:-2]
    if re.fullmatch(r"\\text\{\([A-E]\)\}", gold):
        letter = "ABCDE"[("ABCDE".index(gold[7]) + 1) % 5]
        yield "another letter", f"({letter})"
        yield "two letters", f"({gold[7]}) or ({letter})"
    if (words := re.fullmatch(r"\\text\{(\w+)\}", gold)) is not None:
        yield "not", rf"\text{{not {words[1]}}}"
        yield "other words", rf"\text{{{words[1]}s}}"
        yield "words or", rf"{gold} \text{{ or west}}"
    if "mbox" in gold:
        yield "another unit", gold.replace("cm", "m")
        yield "another power of the unit", gold.replace("^2", "^3")
    if r"\sqrt" in gold:
        yield "without the root", re.sub(r"\\sqrt\{?(\d+)\}?", r"\1", gold)
    if r"\pi" in gold:
        yield "pi as 3.14", gold.replace(r"\pi", "(3.14)")


def _other_number(gold: str) -> str | None:
    """The gold answer with the last digit of its last number one higher; of exponents and units none."""
    found = [one for one in re.finditer(r"\d+", gold) if gold[max(0, one.start() - 1) : one.start()] not in ("^", "_")]
    if not found:
        return None
    last = found[-1]
    digit = str((int(last.group()[-1]) + 1) % 10)
    changed = gold[: last.end() - 1] + digit + gold[last.end() :]
    return None if number_of(gold) is not None and number_of(gold) == number_of(changed) else changed


def _near_numbers(gold: str, value: Fraction) -> Iterator[Variant]:
    def shown(number: Fraction) -> str:
        return (
            str(number.numerator)
            if number.denominator == 1
            else rf"\frac{{{number.numerator}}}{{{number.denominator}}}"
        )

    if value:
        yield "sign", shown(-value)
        yield "ten times", shown(value * 10)
        yield "contradiction", f"{shown(value + 1)} = {gold}"
        yield "about", rf"{gold} \approx {shown(value + 7)}"
    if value not in (0, 1):
        yield "root", rf"\sqrt{{{shown(abs(value))}}}"
        yield "square", f"({gold})^2"
        yield "inverse", shown(1 / value) if abs(value) != 1 else shown(value + 3)
    yield "plus one", shown(value + 1)
    yield "minus one", shown(value - 1)
    yield "plus a hundredth", shown(value + Fraction(1, 100))
    yield "plus a millionth", shown(value + Fraction(1, 10**6))
    if value:
        yield "with a variable", f"{gold}x"
        yield "with pi", rf"{gold}\pi"
    if value.denominator == 1:
        yield "digits appended", f"{value.numerator}7"
        yield "digits in text", rf"{value.numerator}\text{{7}}"
    elif not is_terminating(value):
        yield "rounded", f"{float(value):.6f}"


def _near_rows(gold: str) -> Iterator[Variant]:
    row = _ROW.fullmatch(gold)
    if row is None:
        if re.fullmatch(r"-?\d+(,\s?-?\d+)+", gold) and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", gold):
            yield "one missing", gold.rpartition(",")[0]
            yield "one more", f"{gold}, 77"
        return
    others = {"(": "[", "[": "(", ")": "]", "]": ")"}
    yield "opening bracket", others[row[1]] + row[2] + row[3]
    yield "closing bracket", row[1] + row[2] + others[row[3]]
    if row[2].count(",") == 1:
        low, high = (part.strip() for part in row[2].split(","))
        if low != high:
            yield "swapped", f"{row[1]}{high}, {low}{row[3]}"
        yield "one more", f"{row[1]}{low}, {high}, 0{row[3]}"
