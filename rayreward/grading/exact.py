"""Are two answers the same, exactly?

What arrives: the gold answer's text, the given one's, and how strictly to compare. What leaves: a `Verdict`: equal, not
equal, or undecided, and why. Equal and not equal are proofs within the exact arithmetic of `rayreward.grading.sums`;
whatever that cannot prove is undecided and never guessed. An answer that hedges, contradicts itself or holds several
values where one is wanted is not equal.
"""

from __future__ import annotations

import re

from rayreward.grading.choices import chosen_letter, chosen_letters, letter_and_value
from rayreward.grading.comparison import ANOTHER_NUMBER, EXACT, SAME_NUMBER, SAME_TEXT, Terms, Verdict, compare_values
from rayreward.grading.reader import SEPARATORS, read_answer, split_at
from rayreward.grading.relations import name_of, relation_signs
from rayreward.grading.tokens import joined, tokenise
from rayreward.grading.units import SHORT_UNITS
from rayreward.grading.values import (
    Refused,
    Several,
    Unread,
    Words,
)

_WIDE_SPACE = re.compile(r"\\q?quad\b")
_OPERATORS = frozenset(
    (r"\int", r"\iint", r"\iiint", r"\oint", r"\sum", r"\prod", r"\lim", r"\det", r"\bmod", r"\pmod", r"\mod", r"\gcd",
     r"\lcm", r"\max", r"\min", r"\Gamma", r"\sup", r"\inf", r"\partial", r"\nabla")
)  # fmt: skip
"""Work that an answer must not leave to its reader, unless the gold answer does so too."""


def compare(gold: str, given: str, terms: Terms = EXACT) -> Verdict:
    r"""Compare two answers.

    Example:
        >>> compare("0.5", r"\dfrac{1}{2}").is_equal, compare("5", r"5\text{ or }12").reason
        (True, '2 values where 1 is right')
    """
    if gold == given:
        return SAME_TEXT
    if not (terms.relative_tolerance or terms.absolute_tolerance) and _is_plain(gold) and _is_plain(given):
        return SAME_NUMBER if int(gold) == int(given) else ANOTHER_NUMBER
    letters = chosen_letters(gold)
    if letters is not None and (chosen := chosen_letters(given)) is not None:
        return Verdict(chosen == letters, f"choices {', '.join(chosen)}, {', '.join(letters)} are right")
    letter = chosen_letter(gold)
    if letter is not None and gold.strip() not in ("e", "i"):
        return _compare_letter(letter, given)
    labelled = letter_and_value(gold)
    if labelled is not None and chosen_letter(given) is not None:
        return _compare_letter(labelled[0], given)
    verdict = _compare_texts(gold, given, terms)
    if not verdict.is_equal:
        chosen = letter_and_value(given)
        if chosen is not None:
            other = _compare_texts(gold, chosen[1], terms)
            verdict = other if other.is_equal else verdict
    return verdict


def _is_plain(text: str) -> bool:
    """Whether it is nothing but a few digits: half of all answers are, and reading them costs most of grading them."""
    return text.isdigit() and len(text) < 19 and text.isascii()


def _compare_letter(letter: str, given: str) -> Verdict:
    chosen = chosen_letter(given)
    if chosen is None:
        with_value = letter_and_value(given)
        chosen = with_value[0] if with_value else None
    if chosen is not None:
        return Verdict(chosen == letter, f"choice {chosen}, {letter} is right")
    tokens = tokenise(given)
    signs = relation_signs(tokens)
    if len(signs) == 1 and tokens[signs[0]].text == "=" and name_of(tokens[: signs[0]]) is not None:  # x = (C)
        return _compare_letter(letter, given.rpartition("=")[2])
    return Verdict(False, f"no choice, {letter} is right")


def _compare_texts(gold: str, given: str, terms: Terms) -> Verdict:
    wanted, found = read_answer(gold), read_answer(given)
    if r"quad" in given and not isinstance(wanted, Several) and (count := _count_spread(gold, given)) > 1:
        return Verdict(False, f"{count} values where 1 is right")
    verdict = compare_values(wanted, found, terms)
    if isinstance(found, Unread) and not isinstance(wanted, Unread | Refused):
        verdict = _compare_unread(gold, given, terms) or verdict
    if verdict.is_equal or isinstance(found, Refused):
        return verdict
    if "," in gold and "," in given:  # 1,234 may be two values
        other = compare_values(read_answer(gold, commas_group=False), read_answer(given, commas_group=False), terms)
        if other.is_equal:
            return other
    has_words = isinstance(wanted, Words) or isinstance(found, Words)
    if (verdict.is_equal is None or has_words) and _spelled(gold, has_words) == _spelled(given, has_words):
        return Verdict(True, "the same text but for its layout")
    return verdict


def _count_spread(gold: str, given: str) -> int:
    r"""How many values stand apart by ``\quad``, where the gold answer has no such space."""
    if _WIDE_SPACE.search(gold):
        return 1
    return sum(not isinstance(read_answer(part), Words) for part in _WIDE_SPACE.split(given) if part.strip())


def _compare_unread(gold: str, given: str, terms: Terms) -> Verdict | None:
    """What can be said of an answer that is not read here: its hedges and contradictions show without that."""
    wanted, found = tokenise(gold, SHORT_UNITS), tokenise(given, SHORT_UNITS)
    value_counts = [len(list(split_at(tokens, SEPARATORS))) for tokens in (wanted, found)]
    if value_counts[0] < value_counts[1] and value_counts[0] == 1:
        return Verdict(False, f"{value_counts[1]} values where 1 is right")
    left_open = {token.text for token in found} & _OPERATORS - {token.text for token in wanted}
    if left_open:  # the question's own integral is no answer to it
        return Verdict(False, f"{min(left_open)} is not worked out")
    signs = relation_signs(found)
    if signs and not relation_signs(wanted) and name_of(found[: signs[0]]) is None:
        return Verdict(False, "a relation where a value is right")
    if ("%" in gold) != ("%" in given) and not terms.asks_for_percent:
        return Verdict(False, "a percentage and a number are not the same")
    return None


def _spelled(text: str, has_words: bool) -> str:
    tokens = tokenise(text)
    if has_words:  # 1 hour 30 minutes, and 1 hour and 30 minutes
        tokens = [token for token in tokens if token.text != "and"]
    if "cases" in text:  # x & \text{if } x > 0, and x, & x > 0
        tokens = [token for token in tokens if token.text not in ("if", "for", "when", ",")]
    return joined(tokens).replace("{ ", "").replace(" }", "")
