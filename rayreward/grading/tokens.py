r"""Words and signs of an answer, whichever way they were typed.

What arrives: an answer's text, LaTeX or plain, with Unicode's mathematics or without. What leaves: tokens without
layout: ``\left``, ``\,``, ``$`` and font commands are gone, ``\dfrac`` is ``\frac``, ``\leq`` is ``\le``, what
``\text`` holds is words. It promises linear time. A space between digits stays visible: ``1 2`` is not ``12``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["number", "letter", "word", "command", "symbol"]


class Token(NamedTuple):
    """One of them.

    Attributes:
        kind: a letter is a variable of mathematics, a word is language.
        text: commands with their backslash.
        is_spaced: whether a space stands before it.
    """

    kind: Kind
    text: str
    is_spaced: bool = False


_UNICODE = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{HYPHEN}": "-", "\N{FULLWIDTH HYPHEN-MINUS}": "-",
    "\N{MULTIPLICATION SIGN}": r"\times ", "\N{DOT OPERATOR}": r"\cdot ", "\N{MIDDLE DOT}": r"\cdot ",
    "\N{DIVISION SIGN}": "/", "\N{FRACTION SLASH}": "/", "\N{INFINITY}": r"\infty ", "\N{SQUARE ROOT}": r"\sqrt ",
    "\N{LESS-THAN OR EQUAL TO}": r"\le ", "\N{GREATER-THAN OR EQUAL TO}": r"\ge ", "\N{NOT EQUAL TO}": r"\ne ",
    "\N{ALMOST EQUAL TO}": r"\approx ", "\N{UNION}": r"\cup ", "\N{INTERSECTION}": r"\cap ",
    "\N{ELEMENT OF}": r"\in ", "\N{PLUS-MINUS SIGN}": r"\pm ", "\N{DEGREE SIGN}": r"^\circ ", "\N{PRIME}": "'",
    "\N{EMPTY SET}": r"\emptyset ", "\N{LOGICAL OR}": r"\lor ", "\N{LOGICAL AND}": r"\land ",
    "\N{DOUBLE-STRUCK CAPITAL R}": r"\mathbb{R}", "\N{CENT SIGN}": " cents", "\N{EURO SIGN}": " euros ",
    "\N{POUND SIGN}": " pounds ", "\N{YEN SIGN}": " yen ", "\N{SUPERSCRIPT ONE}": "^{1}", "\N{SUPERSCRIPT TWO}": "^{2}",
    "\N{SUPERSCRIPT THREE}": "^{3}", "\N{SUPERSCRIPT MINUS}": "^-", "\N{MATHEMATICAL LEFT ANGLE BRACKET}": r"\langle ",
    "\N{MATHEMATICAL RIGHT ANGLE BRACKET}": r"\rangle ", "\N{VULGAR FRACTION ONE HALF}": r"\frac{1}{2}",
    "\N{VULGAR FRACTION ONE QUARTER}": r"\frac{1}{4}", "\N{VULGAR FRACTION THREE QUARTERS}": r"\frac{3}{4}",
    "\N{VULGAR FRACTION ONE THIRD}": r"\frac{1}{3}", "\N{VULGAR FRACTION TWO THIRDS}": r"\frac{2}{3}",
    **{chr(ord("\N{SUPERSCRIPT ZERO}") + digit): f"^{{{digit}}}" for digit in (0, *range(4, 10))},
    **{chr(ord("\N{SUBSCRIPT ZERO}") + digit): f"_{{{digit}}}" for digit in range(10)},
    **{
        unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}"): rf"\{name} "
        for name in ("alpha", "beta", "gamma", "delta", "theta", "mu", "pi", "rho", "sigma", "phi", "omega")
    },
    "\N{GREEK SMALL LETTER LAMDA}": r"\lambda ",
}  # fmt: skip
_UNICODE_TABLE = str.maketrans(_UNICODE)

_SPACE = (
    r"\s|~|\\[,;:!>\s]|\\(?:[qm]?quad|left|right|[bB]ig+[lrm]?|displaystyle|textstyle|limits|nolimits|hfill|nobreak)"
    r"(?![A-Za-z])\.?"  # \left. and \right. show nothing
    r"|\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge|bfseries|checkmark)(?![A-Za-z])"
    r"|\\(?:color|textcolor|hspace\*?|vspace\*?|phantom|hphantom|vphantom|kern)\s?\{[^{}]{0,40}\}"
    r"|(?<=\\\\)\[-?[\d.]{1,6}\s?(?:pt|em|ex|cm|mm|in)\]"  # between the rows of a matrix
    r"|\\[()\[\]]|\$"
)
_TOKEN = re.compile(
    rf"(?P<space>{_SPACE})"
    r"|(?P<repeating>\d*\.\d*\\(?:overline|bar|dot)\s?(?:\{\d+\}|\d))"
    # 1,234 1{,}234 1\,234 1,\!234 1 234 1~234 1'234 1_234; a group more or less is no thousands separator.
    r"|(?P<grouped>\d{1,3}(?P<mark>,|\{,\}|\\,|\\ |,\s?\\!\s?| |~|'|_)\d{3}(?:(?P=mark)\d{3})*(?![\d])(?:\.\d+)?)"
    r"|(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,6}(?![\dA-Za-z.]))?)"
    r"|(?P<times>(?<=[\d ])[xX](?=\s?10\s?\^))"  # 3.2 x 10^5
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.))"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<symbol>.)",
    re.DOTALL,
)

_SAME: dict[str, str] = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\nicefrac": r"\frac", r"\sfrac": r"\frac",
    r"\O": r"\emptyset", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\leq": r"\le", r"\leqslant": r"\le", r"\geq": r"\ge", r"\geqslant": r"\ge", r"\neq": r"\ne", r"\lt": "<",
    r"\gt": ">", r"\cdot": "*", r"\times": "*", r"\ast": "*", r"\div": "/", r"\lbrace": r"\{", r"\rbrace": r"\}",
    r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")", r"\vert": "|", r"\lvert": "|", r"\rvert": "|",
    r"\|": "|", r"\%": "%", r"\#": "#", r"\&": "&", r"\_": "_", r"\varnothing": r"\emptyset", r"\infin": r"\infty",
    r"\degree": r"^\circ", r"\vee": r"\lor", r"\wedge": r"\land", r"\colon": ":", r"\simeq": r"\approx",
    r"\doteq": r"\approx", r"\newline": r"\\", r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\arcsec": r"\arcsec",
    r"\backslash": r"\setminus", r"\textdollar": r"\$", r"\coloneqq": "=", r"\euro": "euros", r"\pounds": "pounds",
}  # fmt: skip

_FONTS = frozenset(
    ("\\mathbf", "\\mathit", "\\boldsymbol", "\\bm", "\\vec", "\\mathcal", "\\mathfrak", "\\bf", "\\rm", "\\it",
    "\\pmb", "\\boxed", "\\fbox", "\\hat", "\\mathsf", "\\mathtt") )  # fmt: skip
"""Commands that change how their argument looks, not what it says; the braces behind them stay as a group."""

_TEXT = frozenset(
    ("\\text", "\\mbox", "\\textbf", "\\textrm", "\\textit", "\\textnormal", "\\mathrm", "\\operatorname",
     "\\texttt", "\\textsf", "\\rm", "\\hbox", "\\emph", "\\textup", "\\textsc")
)  # fmt: skip
"""Commands whose argument is language."""

_NAMES: dict[str, str] = {
    name: rf"\{name}"
    for name in (
        "sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "log", "ln", "exp",
        "sinh", "cosh", "tanh", "theta", "alpha", "beta", "infty", "cup", "frac", "pm",
    )
} | {"infinity": r"\infty", "inf": r"\infty", "oo": r"\infty"}  # fmt: skip
"""Names of mathematics in plain text."""

_VARIABLE_WORDS = frozenset("abcxyz")
"""Runs of only these are products of variables (xyz, abc); other runs of three letters or more are words."""

_LETTERS_OF_TEXT = frozenset("abcefijknopqruvwxyz")
r"""What is a variable or a constant in ``\mathrm`` too; other small letters there are units: m, g, s, h, l, d, t."""

_WORDS_OF_TWO = frozenset(("or", "is", "no", "of", "to", "if", "in", "by", "at", "an"))
_TEXT_LAYOUT = re.compile(r"\\(?:[A-Za-z]+|[,;:! ]|(?=[%$#&_]))|[{}$~]")
_TEXT_TOKEN = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|(?P<word>[^\W\d_]+(?:['-][^\W\d_]+)*)|(?P<symbol>\S)"
)


def tokenise(text: str, short_units: frozenset[str] = frozenset(), *, commas_group: bool = True) -> list[Token]:
    r"""The tokens of an answer.

    Args:
        text: the answer, already cut to what is read at most.
        short_units: runs of two letters that are words where a number stands before them (cm, kg).
        commas_group: whether the comma of ``1,234`` is part of the number, outside of brackets.

    Example:
        >>> [token.text for token in tokenise(r"\left( 1{,}000,\, \dfrac12 \right)")]
        ['(', '1000', ',', '\\frac', '12', ')']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_UNICODE_TABLE)).translate(_UNICODE_TABLE)
    if text.replace("\\$", "").count("$") % 2:  # not a pair around the answer: a currency
        text = text.replace("$", "\\$", 1) if "\\$" not in text else text
    return list(_tokens(text, short_units, commas_group))


def _tokens(text: str, short_units: frozenset[str], commas_group: bool) -> Iterator[Token]:
    at, is_spaced, depth = 0, False, 0
    before: Kind | None = None
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"no token at {at} of {text!r:.80}; this is a bug in rayreward")
        kind, piece, at = str(found.lastgroup), found.group(), found.end()
        if kind == "mark":  # the last group that took part
            kind = "grouped"
        if kind == "space":
            is_spaced = True
            continue
        if kind == "grouped" and found["mark"] == "," and (depth or not commas_group):  # (1,234) is a pair
            piece = re.match(r"\d+", piece).group()  # type: ignore[union-attr]
            at, kind = found.start() + len(piece), "number"
        if kind == "command" and (piece in _TEXT or piece in _FONTS):
            while at < len(text) and text[at] == " ":
                at += 1
            if piece in _TEXT and at < len(text) and text[at] == "{":
                end = closing_brace(text, at)
                for token in _text_tokens(text[at + 1 : end], is_spaced):
                    yield token
                    before = token.kind
                at, is_spaced = end + 1, True
            continue
        made = _made(kind, piece, before, is_spaced, short_units)
        for token in made:
            depth += {"(": 1, "[": 1, r"\{": 1, ")": -1, "]": -1, r"\}": -1}.get(token.text, 0)
            yield token
        if made:
            before, is_spaced = made[-1].kind, False


def closing_brace(text: str, at: int) -> int:
    """Where the brace that opens at `at` is closed; the text's end where it is not."""
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if not depth and found.group() == "}":
            return found.start()
    return len(text)


def _made(kind: str, piece: str, before: Kind | None, is_spaced: bool, short_units: frozenset[str]) -> list[Token]:
    if kind in ("number", "repeating"):
        return [Token("number", piece, is_spaced)]
    if kind == "grouped":
        return [Token("number", re.sub(r"[^\d.]", "", piece), is_spaced)]
    if kind == "command":
        name = _SAME.get(piece, piece)
        if name == r"^\circ":
            return [Token("symbol", "^", is_spaced), Token("command", r"\circ")]
        return [Token("command" if name.startswith("\\") else "symbol", name, is_spaced)]
    if kind == "times" and before == "number":
        return [Token("symbol", "*", is_spaced)]
    if kind in ("letters", "times"):
        return _letters(piece, before, is_spaced, short_units)
    return [Token("symbol", piece, is_spaced)]


def _letters(run: str, before: Kind | None, is_spaced: bool, short_units: frozenset[str]) -> list[Token]:
    if run in _NAMES:
        return [Token("command", _NAMES[run], is_spaced)]
    is_attached = before == "number" and not is_spaced
    is_word = len(run) > 2 and not set(run) <= _VARIABLE_WORDS and not (is_attached and run not in short_units)
    if is_word or run.casefold() in _WORDS_OF_TWO or (run in short_units and before == "number"):
        return [Token("word", run, is_spaced)]
    return [Token("letter", letter, is_spaced and not at) for at, letter in enumerate(run)]


def _text_tokens(content: str, is_spaced: bool) -> Iterator[Token]:
    """What a text command holds: words, numbers and signs; commands inside it lose their backslash and braces."""
    plain = _TEXT_LAYOUT.sub(" ", content)
    if (alone := plain.strip()) in _LETTERS_OF_TEXT:  # 3+4\mathrm{i}, whose i is no unit
        yield Token("letter", alone, is_spaced)
        return
    if alone == "infinity":
        yield Token("command", r"\infty", is_spaced)
        return
    at = 0
    for found in _TEXT_TOKEN.finditer(plain):
        kind, piece = str(found.lastgroup), found.group()
        spaced = found.start() > at or (at == 0 and is_spaced)
        at = found.end()
        if kind == "number":
            yield Token("number", piece.replace(",", ""), spaced)
        else:
            yield Token("word" if kind == "word" else "symbol", piece, spaced)


def joined(tokens: list[Token]) -> str:
    """One text for one list of tokens, whatever spaces stood between them; neighbours never grow together."""
    return " ".join(token.text for token in tokens)
